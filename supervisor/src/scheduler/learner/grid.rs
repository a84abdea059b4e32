//! The answers, ready for every backend and model: what was measured, and a guess for what was not.

use super::LearnedModel;
use super::pair::Pair;
use super::usual::Mean;

/// Seconds of service when nothing at all is known.
pub(super) const UNKNOWN_SERVICE: f64 = 5.0;
/// Seconds of a load when none was ever seen.
const UNKNOWN_LOAD: f64 = 10.0;
/// What is not known is taken to be better than the best that is: otherwise it would never be tried.
const OPTIMISM: f64 = 0.6;

/// Expected seconds, for one backend and model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Answer {
    pub(super) service: f64,
    pub(super) load: f64,
    /// What of the two was measured.
    measured_service: Option<f64>,
    measured_load: Option<f64>,
}

impl Default for Answer {
    fn default() -> Self {
        Self { service: UNKNOWN_SERVICE, load: UNKNOWN_LOAD, measured_service: None, measured_load: None }
    }
}

/// A backend.
#[derive(Clone, Default, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// By model; shorter than the models where none of the rest was seen here.
    pub(super) pairs: Vec<Pair>,
    /// By model.
    answers: Vec<Answer>,
    /// Of the measured services, for the ratios between backends.
    logarithms: Vec<f64>,
}

/// Every backend and model. Sums run in the order of the names, so that equal knowledge gives equal answers whatever
/// the order in which backends and models became known.
#[derive(Clone, Default, Debug)]
pub(super) struct Grid {
    /// By backend.
    pub(super) rows: Vec<Row>,
    /// The rows, by the name of the backend.
    row_order: Vec<usize>,
    /// The models, by name.
    model_order: Vec<usize>,
}

impl Grid {
    /// The answer for a backend and a model; that of total ignorance for one it never heard of.
    pub(super) fn answer(&self, row: usize, model: LearnedModel) -> Answer {
        let answers = self.rows.get(row).map(|row| row.answers.as_slice());
        answers.and_then(|answers| answers.get(model.index())).copied().unwrap_or_default()
    }

    /// Makes the backend at `row` known by `name`.
    pub(super) fn name(&mut self, row: usize, name: &str) {
        self.reach(row);
        name.clone_into(&mut self.rows[row].name);
        let rows = &self.rows;
        self.row_order = (0..rows.len()).collect();
        self.row_order.sort_by(|one, other| rows[*one].name.cmp(&rows[*other].name));
    }

    /// Makes sure that there is a backend at `row`, known or not.
    pub(super) fn reach(&mut self, row: usize) {
        while self.rows.len() <= row {
            self.row_order.push(self.rows.len());
            let answers = vec![Answer::default(); self.model_order.len()];
            let logarithms = vec![0.0; answers.len()];
            self.rows.push(Row { answers, logarithms, ..Row::default() });
        }
    }

    /// Takes over the models, in the order of their names.
    pub(super) fn models(&mut self, order: impl Iterator<Item = LearnedModel>) {
        self.model_order = order.map(LearnedModel::index).collect();
        for row in &mut self.rows {
            row.answers.resize(self.model_order.len(), Answer::default());
            row.logarithms.resize(self.model_order.len(), 0.0);
        }
    }

    /// What was seen of a model on a backend, to be added to.
    pub(super) fn pair_mut(&mut self, row: usize, model: LearnedModel) -> &mut Pair {
        self.reach(row);
        let pairs = &mut self.rows[row].pairs;
        if pairs.len() <= model.index() {
            pairs.resize_with(model.index() + 1, Pair::default);
        }
        &mut pairs[model.index()]
    }

    /// What was seen of a model on a backend.
    pub(super) fn pair(&self, row: usize, model: LearnedModel) -> Option<&Pair> {
        self.rows.get(row)?.pairs.get(model.index())
    }

    /// Takes over what was measured of `model` since its usual length is `mean`. `touched`: the backend with new
    /// samples; `None`: any may have some. Answers follow with [`Grid::settle`].
    pub(super) fn measure(&mut self, model: LearnedModel, mean: &Mean, touched: Option<usize>) {
        for (at, row) in self.rows.iter_mut().enumerate() {
            let Some(pair) = row.pairs.get_mut(model.index()) else { continue };
            pair.estimate(mean, touched.is_none_or(|touched| touched == at));
            let service = pair.service(mean);
            row.answers[model.index()].measured_service = service;
            row.logarithms[model.index()] = service.map_or(0.0, f64::ln);
        }
    }

    /// Answers every question anew from what was measured. `changed`: the only model of which something else was
    /// measured since the last time; `None`: any may be.
    pub(super) fn settle(&mut self, changed: Option<LearnedModel>) {
        let measured: Vec<Vec<usize>> =
            (0..self.model_order.len()).map(|model| self.measured(model)).collect();
        for row in 0..self.rows.len() {
            self.settle_services(row, &measured);
        }
        for row in &mut self.rows {
            for (model, (answer, pair)) in row.answers.iter_mut().zip(&row.pairs).enumerate() {
                // A load rests on the service, also where that is a guess, which may rest on anything.
                let is_guessed = answer.measured_service.is_none();
                if is_guessed || changed.is_none_or(|changed| changed.index() == model) {
                    let is_known = !is_guessed || !measured[model].is_empty();
                    answer.measured_load = pair.load(is_known.then_some(answer.service));
                }
            }
        }
        self.settle_loads();
    }

    /// The backends on which `model` was measured, in the order of their names.
    fn measured(&self, model: usize) -> Vec<usize> {
        let rows = self.row_order.iter().copied();
        rows.filter(|row| self.rows[*row].answers[model].measured_service.is_some()).collect()
    }

    fn settle_services(&mut self, row: usize, measured: &[Vec<usize>]) {
        let missing = self.rows[row].answers.iter().any(|answer| answer.measured_service.is_none());
        let ratios = if missing { self.ratios(row, measured) } else { Vec::new() };
        for (model, elsewhere) in measured.iter().enumerate() {
            let here = self.rows[row].answers[model].measured_service;
            self.rows[row].answers[model].service =
                here.unwrap_or_else(|| self.guess(model, elsewhere, &ratios));
        }
    }

    /// By row, how many times longer than that backend the one at `row` takes: the geometric mean over the models
    /// that both have run; `None` without such a model.
    fn ratios(&self, row: usize, measured: &[Vec<usize>]) -> Vec<Option<f64>> {
        let mine = &self.rows[row];
        let mut sums = vec![Average::default(); self.rows.len()];
        for model in &self.model_order {
            if mine.answers[*model].measured_service.is_some() {
                for other in &measured[*model] {
                    sums[*other].add(mine.logarithms[*model] - self.rows[*other].logarithms[*model]);
                }
            }
        }
        sums.into_iter().map(|sum| sum.mean().map(f64::exp)).collect()
    }

    /// The service of a model where it was never measured, from the backends where it was.
    fn guess(&self, model: usize, elsewhere: &[usize], ratios: &[Option<f64>]) -> f64 {
        let mut comparable = Average::default();
        let mut best: Option<f64> = None;
        for other in elsewhere {
            let Some(service) = self.rows[*other].answers[model].measured_service else { continue };
            best = Some(best.map_or(service, |best| best.min(service)));
            if let Some(ratio) = ratios[*other] {
                comparable.add(service * ratio);
            }
        }
        comparable.mean().unwrap_or_else(|| best.map_or(UNKNOWN_SERVICE, |best| best * OPTIMISM))
    }

    fn settle_loads(&mut self) {
        let models = self.model_order.len();
        let mut rows = vec![Average::default(); self.rows.len()];
        let mut columns = vec![Average::default(); models];
        let mut all = Average::default();
        for row in &self.row_order {
            for model in &self.model_order {
                if let Some(load) = self.rows[*row].answers[*model].measured_load {
                    rows[*row].add(load);
                    columns[*model].add(load);
                    all.add(load);
                }
            }
        }
        let all = all.mean().unwrap_or(UNKNOWN_LOAD);
        for (row, here) in self.rows.iter_mut().zip(rows) {
            for (answer, elsewhere) in row.answers.iter_mut().zip(&columns) {
                let guess = || here.mean().or(elsewhere.mean()).unwrap_or(all);
                answer.load = answer.measured_load.unwrap_or_else(guess);
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Average {
    sum: f64,
    values: f64,
}

impl Average {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.values += 1.0;
    }

    fn mean(self) -> Option<f64> {
        (self.values > 0.0).then(|| self.sum / self.values)
    }
}
