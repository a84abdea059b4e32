//! Random instances: worlds of one to four servers and one to seven models, and requests that come in one of four ways.

use ipc_proto::control::Class;

use super::dice::Dice;
use super::figures::{mean, number};
use super::instance::{Instance, Job, Server};

/// What a random instance may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// Servers that hold one model and work on one request at once, never fail; clients that wait for ever.
    Plain,
    /// Everything: slots, several models in memory, free swaps, servers that go away, passing errors, clients that give
    /// up, batches, chains.
    Rough,
}

/// A model, as it is on a server of speed 1.
struct Model {
    load_s: f64,
    token_s: f64,
    popularity: f64,
    mean_output: f64,
}

/// How requests come.
#[derive(Clone, Copy)]
enum Style {
    /// Each at any moment.
    Poisson,
    /// Many of one client at once.
    Bursts,
    /// Each client asks again some time after its last answer.
    Sessions,
    /// At equal distances, the models in turn.
    Beat,
}

impl Instance {
    /// The random instance of `seed`.
    pub fn random(seed: u64, flavour: Flavour) -> Self {
        let mut dice = Dice::named(&[seed, u64::from(flavour == Flavour::Rough)]);
        let models: Vec<Model> = (0..dice.whole(1, 7)).map(|rank| draw_model(&mut dice, rank)).collect();
        let mut servers: Vec<Server> =
            (0..dice.whole(1, 4)).map(|place| draw_server(&mut dice, place, &models)).collect();
        for model in 0..models.len() {
            if !servers.iter().any(|server| server.can[model]) {
                servers[0].can[model] = true;
            }
        }
        let requests = draw_jobs(&mut dice, &models, &servers);
        let name = if flavour == Flavour::Rough { "rough" } else { "plain" };
        let mut instance = Self::new(name, seed, servers, requests);
        if flavour == Flavour::Rough {
            roughen(&mut dice, &mut instance);
        }
        instance
    }
}

fn draw_model(dice: &mut Dice, rank: u32) -> Model {
    Model {
        load_s: dice.log_between(0.5, 150.0),
        token_s: dice.log_between(0.004, 0.1),
        popularity: 1.0 / f64::from(rank + 1).powf(dice.between(0.0, 1.2)),
        mean_output: dice.log_between(30.0, 300.0),
    }
}

fn draw_server(dice: &mut Dice, place: u32, models: &[Model]) -> Server {
    let (speed, disk) = (dice.between(0.3, 1.2), dice.between(0.4, 1.6));
    Server {
        name: format!("server-{place}"),
        priority: i32::try_from(dice.whole(1, 4)).unwrap_or(1) * 100,
        can: models.iter().map(|_| dice.chance(0.8)).collect(),
        t_load: models.iter().map(|model| model.load_s / disk).collect(),
        s_per_prompt_token: models.iter().map(|model| model.token_s / 25.0 / speed).collect(),
        s_per_output_token: models.iter().map(|model| model.token_s / speed).collect(),
        overhead: 0.02,
        max_models: 1,
        slots: 1,
        alpha: 0.25,
        down: Vec::new(),
        error_rate: 0.0,
    }
}

fn draw_jobs(dice: &mut Dice, models: &[Model], servers: &[Server]) -> Vec<Job> {
    let clients = dice.whole(1, 8);
    let count = dice.whole(60, 300);
    let weights: Vec<f64> = models.iter().map(|model| model.popularity).collect();
    let style = [Style::Poisson, Style::Bursts, Style::Sessions, Style::Beat][dice.whole(0, 3) as usize];
    let mut jobs: Vec<Job> = (0..count)
        .map(|place| {
            let model = match style {
                Style::Beat => place as usize % models.len(),
                _ => dice.weighted(&weights),
            };
            draw_job(dice, model, &models[model], dice_client(place, clients))
        })
        .collect();
    // The mean time of a request on each server that can run it, as if they shared the work by their speed.
    let paces = jobs.iter().map(|job| {
        let able = servers.iter().filter(|server| server.can[job.model]);
        1.0 / able.map(|server| 1.0 / server.service(job).1).sum::<f64>()
    });
    let gap = mean(&paces.collect::<Vec<_>>()) / dice.between(0.15, 0.9);
    match style {
        Style::Poisson => spread(dice, &mut jobs, gap),
        Style::Beat => {
            for (place, job) in jobs.iter_mut().enumerate() {
                job.arrival = Some(gap * number(place));
            }
        }
        Style::Bursts => bursts(dice, &mut jobs, gap, clients),
        Style::Sessions => sessions(dice, &mut jobs, clients as usize),
    }
    jobs
}

fn dice_client(place: u32, clients: u32) -> usize {
    // A client's requests must not be those of one model when models come in turn.
    (place.wrapping_mul(2_654_435_761) >> 16) as usize % clients as usize
}

fn draw_job(dice: &mut Dice, number: usize, model: &Model, client: usize) -> Job {
    let tokens = |drawn: f64| drawn.clamp(1.0, 20_000.0).round();
    // Whole and small: exact.
    let whole = |drawn: f64| format!("{}", tokens(drawn)).parse().unwrap_or(1);
    Job {
        arrival: None,
        model: number,
        client,
        class: Class::Interactive,
        is_batch: false,
        prompt_tokens: whole(dice.log_between(30.0, 4000.0)),
        output_tokens: whole(dice.exponential(model.mean_output)),
        noise: dice.noise(0.1),
        stream: dice.chance(0.7),
        patience: None,
        next: None,
    }
}

fn spread(dice: &mut Dice, jobs: &mut [Job], gap: f64) {
    let mut at = 0.0;
    for job in jobs {
        at += dice.exponential(gap);
        job.arrival = Some(at);
    }
}

fn bursts(dice: &mut Dice, jobs: &mut [Job], gap: f64, clients: u32) {
    let (mut at, mut left, mut client, mut model) = (0.0, 0, 0, 0);
    for job in jobs {
        if left == 0 {
            left = if dice.chance(0.5) { 1 } else { dice.whole(5, 40) };
            at += dice.exponential(gap * f64::from(left));
            client = dice.whole(0, clients - 1) as usize;
            model = job.model;
        }
        left -= 1;
        (job.arrival, job.client, job.model) = (Some(at), client, model);
    }
}

fn sessions(dice: &mut Dice, jobs: &mut [Job], clients: usize) {
    let mut last: Vec<Option<usize>> = vec![None; clients];
    for place in 0..jobs.len() {
        let client = jobs[place].client;
        match last[client].replace(place) {
            Some(before) => {
                jobs[before].next = Some((place, dice.exponential(3.0)));
                // Within a session the model rarely changes.
                if dice.chance(0.7) {
                    jobs[place].model = jobs[before].model;
                }
            }
            None => jobs[place].arrival = Some(dice.between(0.0, 60.0)),
        }
    }
}

/// Gives an instance everything that can be hard.
fn roughen(dice: &mut Dice, instance: &mut Instance) {
    let horizon = instance.requests.iter().filter_map(|job| job.arrival).fold(60.0, f64::max);
    let error_rate = [0.0, 0.0, 0.01, 0.05][dice.whole(0, 3) as usize];
    let has_outages = dice.chance(0.4);
    for server in &mut instance.servers {
        server.slots = [1, 1, 2, 4, 8][dice.whole(0, 4) as usize];
        server.max_models = [1, 1, 1, 2, 3][dice.whole(0, 4) as usize];
        server.alpha = dice.between(0.0, 0.5);
        server.error_rate = error_rate;
        if dice.chance(0.1) {
            server.t_load.fill(0.0);
            (server.max_models, server.slots, server.alpha) = (99, 8, 0.0);
        }
        if has_outages && dice.chance(0.7) {
            let from = dice.between(0.0, horizon);
            server.down.push((from, from + dice.log_between(5.0, 600.0)));
        }
    }
    let batch: Vec<bool> = (0..instance.clients).map(|_| dice.chance(0.25)).collect();
    let hasty = if dice.chance(0.3) { dice.between(0.1, 1.0) } else { 0.0 };
    for job in &mut instance.requests {
        job.is_batch = batch[job.client];
        job.class = if job.is_batch { Class::Batch } else { Class::Interactive };
        job.patience = dice.chance(hasty).then(|| dice.log_between(5.0, 300.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_instances_are_sound_and_repeat_with_their_seed() {
        for seed in 0..200 {
            for flavour in [Flavour::Plain, Flavour::Rough] {
                let instance = Instance::random(seed, flavour);
                // Through JSON, which is checked; the last digit of a number may get lost there.
                let read = Instance::from_json(&instance.to_json()).expect("it is sound");
                assert_eq!(read.requests.len(), instance.requests.len());
                assert_eq!(instance, Instance::random(seed, flavour));
            }
        }
        assert_ne!(Instance::random(1, Flavour::Plain), Instance::random(2, Flavour::Plain));
    }
}
