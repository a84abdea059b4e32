//! Instances like a given one that nobody has looked at before: the same servers, clients and rates, other coincidences.
//!
//! Every client's stream of requests is turned round by a part of the horizon of its own, so that what met does not meet
//! again; sizes are dealt anew among the requests for the same model. Where the pattern between clients is what a workload is
//! about, all streams are turned together.

use super::dice::Dice;
use super::instance::{Instance, Job};

/// Workloads whose clients keep step with each other: strict alternation, popularity that changes for all.
const IN_STEP: [&str; 4] = ["i1", "i2", "i3", "m"];

impl Instance {
    /// The `number`-th instance like this one.
    #[must_use]
    pub fn resampled(&self, number: u64) -> Self {
        let mut dice = Dice::named(&[self.seed, number, 0x7e5a]);
        let mut drawn = self.clone();
        drawn.seed = self.seed * 1000 + number;
        deal_sizes(&mut dice, &mut drawn.requests, self.models);
        let horizon = self.requests.iter().filter_map(|job| job.arrival).fold(0.0, f64::max);
        if horizon <= 0.0 {
            return drawn;
        }
        let together = dice.unit() * horizon;
        let is_in_step = IN_STEP.contains(&self.name.as_str());
        let turns: Vec<f64> =
            (0..self.clients).map(|_| if is_in_step { together } else { dice.unit() * horizon }).collect();
        for job in &mut drawn.requests {
            job.arrival = job.arrival.map(|arrival| (arrival + turns[job.client]) % horizon);
        }
        for server in &mut drawn.servers {
            for (from, to) in &mut server.down {
                let length = *to - *from;
                *from = dice.unit() * horizon;
                *to = *from + length;
            }
        }
        drawn
    }
}

/// Deals prompts, answers and luck anew among the requests for the same model.
fn deal_sizes(dice: &mut Dice, jobs: &mut [Job], models: usize) {
    for model in 0..models {
        for is_batch in [false, true] {
            let own: Vec<usize> = (0..jobs.len())
                .filter(|place| jobs[*place].model == model && jobs[*place].is_batch == is_batch)
                .collect();
            for last in (1..own.len()).rev() {
                let other = dice.whole(0, u32::try_from(last).unwrap_or(u32::MAX)) as usize;
                let (one, other) = (own[last], own[other]);
                let sizes = |job: &Job| (job.prompt_tokens, job.output_tokens, job.noise, job.stream);
                let (here, there) = (sizes(&jobs[one]), sizes(&jobs[other]));
                give(&mut jobs[one], there);
                give(&mut jobs[other], here);
            }
        }
    }
}

fn give(job: &mut Job, sizes: (u32, u32, f64, bool)) {
    (job.prompt_tokens, job.output_tokens, job.noise, job.stream) = sizes;
}

#[cfg(test)]
mod tests {
    use super::super::draw::Flavour;
    use super::*;

    #[test]
    fn another_draw_has_the_same_work_at_other_times() {
        let instance = Instance::random(3, Flavour::Plain);
        let drawn = instance.resampled(1);
        let work = |instance: &Instance| {
            let mut tokens: Vec<_> = instance
                .requests
                .iter()
                .map(|job| (job.model, job.prompt_tokens, job.output_tokens))
                .collect();
            tokens.sort_unstable();
            tokens
        };
        assert_eq!(work(&instance), work(&drawn));
        assert_ne!(instance.requests, drawn.requests);
        assert_ne!(drawn.requests, instance.resampled(2).requests);
    }
}
