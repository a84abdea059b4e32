//! What a whole supervisor tells operators: why requests went where they went, and what was learned, also long ago.

use ipc_proto::operator::{Explanation, LearnedView};

use super::*;

fn admission_called(label: &str, request: RequestId) -> FromFrontend {
    let FromFrontend::Admit(admission) = admission(request) else { panic!("it admits") };
    FromFrontend::Admit(Box::new(Admission { label: Label::from_client(label).unwrap(), ..*admission }))
}

async fn explain(operator: &mut Operator, wanted: &str) -> Result<Explanation, Refusal> {
    match ask(operator, 5, Command::Explain { request: wanted.to_owned() }).await {
        Ok(Reply::Explained(explanation)) => Ok(*explanation),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal),
    }
}

/// Has a request that was granted end well.
fn complete(worker: &Worker, frontend: &Frontend, grant: GrantId, request: RequestId) {
    worker.say(finished(grant));
    frontend.say(closed(request));
}

#[tokio::test]
async fn a_request_is_explained_while_it_waits_while_it_runs_and_when_it_has_ended() {
    with_instance(async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        let [ended, running, waiting] = std::array::from_fn(|_| RequestId::mint());
        frontend.say(admission_called("job-1", ended));
        let grant = granted(&mut frontend, ended).await;
        complete(&worker, &frontend, grant, ended);
        while snapshot(&mut operator).await.live > 0 {}
        frontend.say(admission_called("job-10", running));
        let grant = granted(&mut frontend, running).await;
        frontend.say(admission_called("task-1", waiting));
        while snapshot(&mut operator).await.live < 2 {}

        let waits = explain(&mut operator, "task").await.unwrap();
        assert_eq!(waits.record.state, RequestState::Queued);
        let now = waits.decisions.last().unwrap();
        assert_eq!((now.chosen.as_str(), now.reason.as_str(), now.position), ("", "waits", Some(1)));
        assert_eq!((now.candidates[0].backend.as_str(), now.candidates[0].eligible), ("desk", false));
        let runs = explain(&mut operator, "job-10").await.unwrap();
        assert_eq!((runs.record.state, runs.decisions.len()), (RequestState::Running, 1));
        assert_eq!(runs.decisions[0].chosen, "desk");
        assert_eq!(explain(&mut operator, "job-").await.unwrap().record.exchange, running.to_string());
        let past = explain(&mut operator, "job-1").await.unwrap();
        assert_eq!((past.record.exchange, past.record.state), (ended.to_string(), RequestState::Completed));
        assert_eq!(past.decisions[0].chosen, "desk", "what was decided is kept");

        complete(&worker, &frontend, grant, running);
        let grant = granted(&mut frontend, waiting).await;
        complete(&worker, &frontend, grant, waiting);
        while snapshot(&mut operator).await.live > 0 {}
        let past = explain(&mut operator, "task").await.unwrap();
        assert_eq!((past.record.state, past.decisions.len()), (RequestState::Completed, 1));
        let several = explain(&mut operator, "job-").await.unwrap_err();
        assert!(several.message.contains("several requests"), "{several:?}");
        for unknown in ["nobody", "tas"] {
            let refusal = explain(&mut operator, unknown).await.unwrap_err();
            assert!(refusal.message.contains(unknown) && !refusal.hint.is_empty(), "{refusal:?}");
        }
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_learned_is_told_and_survives_the_instance() {
    let folder = tempfile::tempdir().unwrap();
    let told: std::sync::Mutex<Vec<LearnedView>> = std::sync::Mutex::default();
    with_instance_in(folder.path(), async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        assert!(snapshot(&mut operator).await.learned.is_empty());
        for _ in 0..3 {
            let request = RequestId::mint();
            frontend.say(admission(request));
            let grant = granted(&mut frontend, request).await;
            complete(&worker, &frontend, grant, request);
        }
        while snapshot(&mut operator).await.live > 0 {}
        let learned = snapshot(&mut operator).await.learned;
        assert_eq!((learned.len(), learned[0].samples), (1, 3));
        assert_eq!((learned[0].backend.as_str(), learned[0].model.as_str()), ("desk", "small"));
        *told.lock().unwrap() = learned;
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
    with_instance_in(folder.path(), async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        assert_eq!(snapshot(&mut operator).await.learned, *told.lock().unwrap());
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}
