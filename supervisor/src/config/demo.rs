//! The demonstration: two backends that make their answers up, so that queueing and model swaps can be seen
//! without any LLM server.

use ipc_proto::secret::Secret;

use super::error::ConfigError;
use super::file::{ApiKey, AuthMode, Backend, Fake, File, Hidden, Kind};
use super::keys::random_key;

/// Two fake backends. Both offer `demo-small`, each offers one model more, and each holds one model at a time.
pub fn demo_backends() -> Vec<Backend> {
    let backend = |name: &str, models: [&str; 2], load_seconds| Backend {
        name: name.to_owned(),
        kind: Kind::Fake,
        fake: Some(Fake { models: models.map(str::to_owned).into(), load_seconds, ..Fake::default() }),
        ..Backend::default()
    };
    vec![
        backend("demo-a", ["demo-small", "demo-large"], 3.0),
        backend("demo-b", ["demo-small", "demo-embed"], 2.0),
    ]
}

/// Where a configuration comes from that a demonstration is added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Somebody wrote it.
    File,
    /// There is no file.
    Nobody,
}

/// The configuration of somebody who has none: on this machine only.
pub(super) fn file_of_nobody() -> File {
    let mut file = File::default();
    "127.0.0.1".clone_into(&mut file.proxy.host);
    file
}

/// Adds the fake backends, and a new key if keys are asked for: that key is returned.
pub(super) fn add_to(file: &mut File, origin: Origin) -> Result<Option<Secret>, ConfigError> {
    for backend in demo_backends() {
        if !file.backends.iter().any(|other| other.name == backend.name) {
            file.backends.push(backend);
        }
    }
    let keys = &mut file.auth.api_keys;
    // Where no key is asked for so far, a first one would shut out everybody who comes without.
    if file.auth.mode == AuthMode::None || (origin == Origin::File && keys.is_empty()) {
        return Ok(None);
    }
    let names = std::iter::once("demo".to_owned()).chain((2..).map(|number| format!("demo-{number}")));
    let is_free = |name: &String| !keys.iter().any(|key| key.name == *name);
    let name = names.into_iter().find(is_free).expect("the names never end");
    let key = random_key("sk-proxylm-demo-")?;
    keys.push(ApiKey { name, key: Hidden::new(key.expose()), ..ApiKey::default() });
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_can_be_watched() {
        let fakes: Vec<_> = demo_backends().into_iter().map(|backend| backend.fake.unwrap()).collect();
        let shared = |model: &&String| fakes.iter().all(|fake| fake.models.contains(*model));
        assert_eq!(fakes[0].models.iter().filter(shared).count(), 1, "one can move, and have a second copy");
        for fake in fakes {
            assert!(fake.models.len() > 1, "its models have to take turns");
            let answer_seconds = f64::from(fake.words) * f64::from(fake.word_ms) / 1000.0;
            assert!((2.0..=4.0).contains(&fake.load_seconds), "a load is seen, and not waited for long");
            assert!((1.0..=4.0).contains(&answer_seconds), "an answer is worth about a load");
        }
    }

    #[test]
    fn nobody_gets_a_key_and_two_backends() {
        let mut file = file_of_nobody();
        let key = add_to(&mut file, Origin::Nobody).unwrap().unwrap();
        assert_eq!(file.auth.api_keys[0].name, "demo");
        assert_eq!(file.auth.api_keys[0].key.expose(), key.expose());
        assert_eq!(file.backends.len(), 2);
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let own = Backend { name: "demo-a".to_owned(), priority: 7, ..Backend::default() };
        let mut file = File { backends: vec![own], ..File::default() };
        assert_eq!(add_to(&mut file, Origin::File).unwrap(), None, "it was open, and stays open");
        let names: Vec<_> =
            file.backends.iter().map(|backend| (backend.name.as_str(), backend.priority)).collect();
        assert_eq!(names, [("demo-a", 7), ("demo-b", 100)]);
        let own = ApiKey { name: "demo".to_owned(), key: Hidden::new("k"), ..ApiKey::default() };
        file.auth.api_keys.push(own);
        assert!(add_to(&mut file, Origin::File).unwrap().is_some());
        assert_eq!(file.auth.api_keys[1].name, "demo-2");
    }
}
