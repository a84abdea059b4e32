//! Turns over time as SVG: a lane for each backend, its loads hatched, its answers in the model's colour; below, who
//! waits for which model.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::trouble::Trouble;
use crate::turns::Row;

const WIDTH: f64 = 920.0;
const LEFT: f64 = 110.0;
const LANE: f64 = 46.0;
const WAITING: f64 = 60.0;
const COLOURS: [&str; 6] = ["#4477aa", "#ee8866", "#44aa77", "#aa6699", "#bbaa33", "#777777"];

/// What is drawn.
pub(crate) struct Sketch {
    title: String,
    /// Seconds on the axis.
    span: f64,
    models: Vec<String>,
    lanes: BTreeMap<String, Vec<Bar>>,
    /// For each model, when somebody began or ceased to wait.
    steps: Vec<Vec<(f64, i32)>>,
}

/// One attempt, in seconds from the first arrival.
struct Bar {
    model: usize,
    start: f64,
    loaded: f64,
    end: f64,
}

impl Sketch {
    /// The sketch of these requests.
    pub(crate) fn of(rows: &[Row], strategy: &str) -> Result<Self, Trouble> {
        let began = rows.iter().map(|row| row.arrived_unix_us).min().ok_or("nothing was asked")?;
        let mut models: Vec<String> = rows.iter().map(|row| row.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let seconds = |at: i64| std::time::Duration::from_micros((at - began).unsigned_abs()).as_secs_f64();
        let mut sketch = Self {
            title: format!("{} requests, strategy {strategy}", rows.len()),
            span: 1.0,
            steps: vec![Vec::new(); models.len()],
            models,
            lanes: BTreeMap::new(),
        };
        for row in rows {
            let (Some(start), Some(end)) = (row.started_unix_us, row.ended_unix_us) else { continue };
            let model = sketch.models.iter().position(|model| *model == row.model).unwrap_or_default();
            let load = if row.swap { row.load_us.unwrap_or(0) } else { 0 };
            let bar = Bar { model, start: seconds(start), loaded: seconds(start + load), end: seconds(end) };
            sketch.span = sketch.span.max(bar.end);
            sketch.steps[model].extend([(seconds(row.arrived_unix_us), 1), (bar.start, -1)]);
            sketch.lanes.entry(row.backend.clone()).or_default().push(bar);
        }
        for steps in &mut sketch.steps {
            steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        Ok(sketch)
    }

    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let lanes = f64::from(u32::try_from(self.lanes.len()).unwrap_or(u32::MAX));
        let rows = f64::from(u32::try_from(self.models.len()).unwrap_or(u32::MAX));
        let height = 50.0 + lanes * LANE + rows * WAITING + 30.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"8\" y=\"18\" font-weight=\"bold\">{}</text>\n",
            self.title
        );
        self.legend(&mut svg);
        let mut top = 44.0;
        for (backend, bars) in &self.lanes {
            self.lane(&mut svg, top, backend, bars);
            top += LANE;
        }
        for model in 0..self.models.len() {
            self.waiting(&mut svg, top, model);
            top += WAITING;
        }
        self.axis(&mut svg, top);
        svg.push_str("</svg>\n");
        svg
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.span * (WIDTH - LEFT - 12.0)
    }

    fn legend(&self, svg: &mut String) {
        let mut x = LEFT;
        for (model, colour) in self.models.iter().zip(COLOURS.iter().cycle()) {
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"26\" width=\"12\" height=\"10\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"35\">{model}</text>",
                x + 16.0
            );
            x += 130.0;
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"26\" width=\"12\" height=\"10\" fill=\"#dddddd\" stroke=\"#555555\"/>\
             <text x=\"{}\" y=\"35\">loading</text>",
            x + 16.0
        );
    }

    fn lane(&self, svg: &mut String, top: f64, backend: &str, bars: &[Bar]) {
        let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{backend}</text>", top + 26.0);
        for bar in bars {
            let colour = COLOURS[bar.model % COLOURS.len()];
            let mut piece = |from: f64, to: f64, style: &str| {
                let (x, width) = (self.x(from), self.x(to) - self.x(from));
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" {style}/>",
                    top + 8.0,
                    LANE - 16.0
                );
            };
            if bar.loaded > bar.start {
                piece(
                    bar.start,
                    bar.loaded,
                    &format!("fill=\"#dddddd\" stroke=\"{colour}\" stroke-dasharray=\"3 2\""),
                );
            }
            piece(bar.loaded, bar.end, &format!("fill=\"{colour}\" stroke=\"white\""));
        }
    }

    /// How many wait for a model, as steps.
    fn waiting(&self, svg: &mut String, top: f64, model: usize) {
        let most = 8.0;
        let ground = top + WAITING - 8.0;
        let mut waiting = 0;
        let mut points = format!("{:.1},{ground} ", self.x(0.0));
        for (at, change) in &self.steps[model] {
            let level = |count: i32| ground - f64::from(count).min(most) / most * (WAITING - 14.0);
            let x = self.x(*at);
            let _ = write!(points, "{x:.1},{:.1} {x:.1},{:.1} ", level(waiting), level(waiting + change));
            waiting += change;
        }
        let _ = write!(points, "{:.1},{ground}", self.x(self.span));
        let colour = COLOURS[model % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{}\">waiting for</text><text x=\"8\" y=\"{}\">{}</text>\n\
             <polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"0.45\" stroke=\"{colour}\"/>",
            top + 26.0,
            top + 41.0,
            self.models[model]
        );
    }

    fn axis(&self, svg: &mut String, top: f64) {
        let mut second = 0.0;
        while second <= self.span {
            let x = self.x(second);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"44\" x2=\"{x:.1}\" y2=\"{top}\" stroke=\"#cccccc\" stroke-width=\"0.5\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>",
                top + 16.0
            );
            second += 10.0;
        }
    }
}
