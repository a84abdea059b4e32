//! Tests of the scheduler as a whole, in the words of what an operator would see. The verbs are in [`House`].

mod children;
mod facts;
mod health;
mod house;
mod loading;
mod loans;
mod orders;
mod refusals;
mod retries;
mod speed;
mod strategies;
mod turns;

use house::{House, backend, catalog, cloud};
