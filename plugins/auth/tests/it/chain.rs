//! The chain as such, with gates that do whatever gates can do.

use std::{
    future::{pending, ready},
    sync::Arc,
    time::Duration,
};

use plugin_api::{
    Access, Authenticate, Authorize, Decision, Exchange, GateError, Login, Pending, Principal, QoS, Secret,
    Step, Verdict,
};
use plugin_auth::Gates;
use tokio::time::{Instant, sleep};

use crate::support::{House, by_password, from_afar, keep_log, logged, may, principal, publish, who};

const DEADLINE: Duration = Duration::from_secs(5);

/// Everything a gate can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    SaysYes,
    SaysYesLate,
    SaysYesTooLate,
    SaysNo,
    IsSilent,
    Fails,
    PanicsAtOnce,
    PanicsLater,
    NeverAnswers,
}

use Conduct::{
    Fails, IsSilent, NeverAnswers, PanicsAtOnce, PanicsLater, SaysNo, SaysYes, SaysYesLate, SaysYesTooLate,
};

const ALL: [Conduct; 9] = [
    SaysYes,
    SaysYesLate,
    SaysYesTooLate,
    SaysNo,
    IsSilent,
    Fails,
    PanicsAtOnce,
    PanicsLater,
    NeverAnswers,
];

impl Conduct {
    fn perform<T: Send + 'static>(self, yes: T, no: T, silent: T) -> Pending<'static, Result<T, GateError>> {
        match self {
            SaysYes => Box::pin(ready(Ok(yes))),
            SaysYesLate => Box::pin(async {
                sleep(DEADLINE / 2).await;
                Ok(yes)
            }),
            SaysYesTooLate => Box::pin(async {
                sleep(DEADLINE * 2).await;
                Ok(yes)
            }),
            SaysNo => Box::pin(ready(Ok(no))),
            IsSilent => Box::pin(ready(Ok(silent))),
            Fails => Box::pin(ready(Err(GateError("the directory is down".into())))),
            PanicsAtOnce => panic!("a gate's own mistake"),
            PanicsLater => Box::pin(async {
                sleep(DEADLINE / 2).await;
                panic!("a gate's own mistake, later")
            }),
            NeverAnswers => Box::pin(pending()),
        }
    }

    fn is_yes(self) -> bool {
        matches!(self, SaysYes | SaysYesLate)
    }
}

impl Authenticate for Conduct {
    fn authenticate(&self, _: Login) -> Pending<'_, Result<Verdict, GateError>> {
        let known = Verdict::Known(Arc::new(Principal::named("somebody")));
        self.perform(known, Verdict::Refused("no".into()), Verdict::Silent)
    }

    fn exchange(&self, _: Login) -> Option<Box<dyn Exchange>> {
        match self {
            IsSilent => None,
            PanicsAtOnce => panic!("a gate's own mistake"),
            talks => Some(Box::new(*talks)),
        }
    }
}

impl Exchange for Conduct {
    fn step(self: Box<Self>, _: Option<Secret>) -> Pending<'static, Result<Step, GateError>> {
        let said = self.perform(Some(true), Some(false), None);
        Box::pin(async {
            Ok(match said.await? {
                Some(true) => Step::Known {
                    principal: Arc::new(Principal::named("somebody")),
                    data: None,
                },
                Some(false) => Step::Refused("no".into()),
                None => Step::Continue {
                    data: None,
                    next: self,
                },
            })
        })
    }
}

impl Authorize for Conduct {
    fn authorize(&self, _: &Arc<Principal>, _: &Access) -> Pending<'static, Result<Decision, GateError>> {
        self.perform(Decision::Allow, Decision::Deny, Decision::Silent)
    }

    fn publish_at_once(&self, _: &Principal, _: &str, _: QoS, _: bool) -> Option<Decision> {
        match self {
            SaysYes => Some(Decision::Allow),
            SaysNo => Some(Decision::Deny),
            IsSilent => Some(Decision::Silent),
            PanicsAtOnce => panic!("a gate's own mistake"),
            SaysYesLate | SaysYesTooLate | Fails | PanicsLater | NeverAnswers => None,
        }
    }
}

fn gates(conducts: &[Conduct]) -> Gates {
    let authenticators = conducts
        .iter()
        .map(|gate| (format!("{gate:?}"), Arc::new(*gate) as Arc<dyn Authenticate>));
    let authorizers = conducts
        .iter()
        .map(|gate| (format!("{gate:?}"), Arc::new(*gate) as Arc<dyn Authorize>));
    Gates::of(authenticators.collect(), authorizers.collect(), DEADLINE)
}

/// Every chain of at most three gates.
fn chains() -> Vec<Vec<Conduct>> {
    let mut chains = vec![vec![]];
    let mut longest: Vec<Vec<Conduct>> = vec![vec![]];
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|chain| ALL.map(|next| [&chain[..], &[next]].concat()))
            .collect();
        chains.extend(longest.clone());
    }
    chains
}

/// What must come out: yes only if some gate said so and every gate before it was silent.
fn may_pass(chain: &[Conduct]) -> bool {
    let first_heard = chain.iter().find(|gate| **gate != IsSilent);
    first_heard.is_some_and(|gate| gate.is_yes())
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_unless_a_gate_said_so_before_any_other_spoke() {
    for chain in chains() {
        let let_in = who(&gates(&chain), from_afar()).await.is_ok();
        assert_eq!(let_in, may_pass(&chain), "{chain:?}");
    }
}

/// A verdict at hand is the one that would come, and there is none behind a gate that has none.
#[tokio::test(start_paused = true)]
async fn a_message_is_judged_at_once_where_all_that_are_asked_have_their_verdict_at_hand() {
    let somebody = principal("somebody", "lamp-1");
    for chain in chains() {
        let first_heard = chain.iter().find(|gate| **gate != IsSilent);
        let at_hand = matches!(first_heard, None | Some(SaysYes | SaysNo));
        let decision = gates(&chain).publish_at_once(&somebody, "t", QoS::AtMostOnce, false);
        let may = decision.map(|decision| decision == Decision::Allow);
        assert_eq!(may, at_hand.then(|| may_pass(&chain)), "{chain:?}");
    }
}

/// A gate that fails in an exchange, or in offering one, gives no other gate the chance to say yes.
#[tokio::test(start_paused = true)]
async fn nobody_comes_in_by_an_exchange_unless_a_gate_said_so_before_any_other_spoke() {
    for chain in chains() {
        let step = match gates(&chain).exchange(from_afar()) {
            Some(exchange) => exchange.step(None).await.ok(),
            None => None,
        };
        let known = match step {
            Some(Step::Known { principal, .. }) => Some(principal),
            _ => None,
        };
        assert_eq!(known.is_some(), may_pass(&chain), "{chain:?}");
        if let Some(principal) = known {
            assert_eq!(principal.client_id.as_deref(), Some("lamp-1"));
        }
    }
}

/// Where a login names its authenticators, the chain is as if there were no others, in the order it has.
#[tokio::test(start_paused = true)]
async fn only_the_authenticators_that_a_login_names_judge_it() {
    let named = [SaysNo, SaysYesLate];
    let only = |mut login: Login| {
        login.authenticators = Some(named.iter().map(|gate| format!("{gate:?}")).collect());
        login
    };
    for chain in chains() {
        let rest: Vec<_> = chain
            .iter()
            .copied()
            .filter(|gate| named.contains(gate))
            .collect();
        let let_in = who(&gates(&chain), only(from_afar())).await.is_ok();
        assert_eq!(let_in, may_pass(&rest), "{chain:?}");
        let step = match gates(&chain).exchange(only(from_afar())) {
            Some(exchange) => exchange.step(None).await.ok(),
            None => None,
        };
        let let_in = matches!(step, Some(Step::Known { .. }));
        assert_eq!(let_in, may_pass(&rest), "{chain:?} by an exchange");
    }
    let mut nobodys = from_afar();
    nobodys.authenticators = Some([].into());
    assert!(who(&gates(&[SaysYes]), nobodys).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_allowed_unless_a_gate_said_so_before_any_other_spoke() {
    let somebody = Arc::new(Principal::named("somebody"));
    for chain in chains() {
        let decision = gates(&chain).authorize(&somebody, &publish("a")).await;
        assert_eq!(
            matches!(decision, Ok(Decision::Allow)),
            may_pass(&chain),
            "{chain:?}: {decision:?}"
        );
        assert!(!matches!(decision, Ok(Decision::Silent)), "{chain:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_never_answers_costs_its_deadline_and_not_more() {
    let before = Instant::now();
    let why = who(&gates(&[IsSilent, NeverAnswers, SaysYes]), from_afar())
        .await
        .unwrap_err();
    assert_eq!(before.elapsed(), DEADLINE);
    assert_eq!(why, "the gate NeverAnswers: it did not answer within 5s");
}

#[tokio::test]
async fn a_gate_that_fails_is_named_in_the_refusal() {
    let why = who(&gates(&[Fails, SaysYes]), from_afar()).await.unwrap_err();
    assert_eq!(why, "the gate Fails: it could not decide: the directory is down");
}

/// The threads that carry messages ask as well: an answer at hand must not need a timer or another thread.
#[test]
fn an_answer_at_hand_needs_no_runtime() {
    use std::task::{Context, Poll, Waker};

    let somebody = Arc::new(Principal::named("somebody"));
    let mut answer = gates(&[IsSilent, SaysYes]).authorize(&somebody, &publish("a"));
    let answer = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(answer, Poll::Ready(Ok(Decision::Allow))));
}

/// A gate cannot claim for a principal what only the listener knows.
#[tokio::test]
async fn the_chain_and_not_the_gate_says_where_a_client_is_and_what_its_id_is() {
    #[derive(Debug)]
    struct Liar;
    impl Authenticate for Liar {
        fn authenticate(&self, _: Login) -> Pending<'_, Result<Verdict, GateError>> {
            let mut principal = Principal::named("liar");
            principal.loopback = true;
            principal.client_id = Some("another".into());
            principal.attributes.insert("team", "blue");
            Box::pin(ready(Ok(Verdict::Known(Arc::new(principal)))))
        }
    }
    let gates = Gates::of(vec![("liar".into(), Arc::new(Liar))], Vec::new(), DEADLINE);

    let principal = who(&gates, from_afar()).await.unwrap();
    assert!(!principal.loopback);
    assert_eq!(principal.client_id.as_deref(), Some("lamp-1"));
    assert_eq!(principal.attributes.get("team"), Some("blue"));

    let mut over_http = from_afar();
    over_http.client_id.clear();
    assert_eq!(who(&gates, over_http).await.unwrap().client_id, None);
}

/// The broker's own twin topics are denied whatever a file says; a development machine is no exception.
#[tokio::test]
async fn the_gates_of_the_house_are_asked_before_the_rules_of_a_file() {
    for (gate, rules, allowed) in [
        (SaysNo, "user ada\ntopic #\n", false),
        (SaysYes, "user ada\ntopic deny #\n", true),
        (IsSilent, "user ada\ntopic #\n", true),
        (IsSilent, "user ada\ntopic deny #\n", false),
    ] {
        let house = House::closed()
            .with_rules(rules)
            .with(|auth| auth.authorize = Some("allow_all_on_loopback".into()));
        let gates = house.gates_after(vec![Arc::new(gate)]).unwrap();
        let mut ada = principal("ada", "c1");
        ada.loopback = true;
        assert_eq!(
            may(&gates, &ada, publish("a")).await,
            allowed,
            "{gate:?} {rules:?}"
        );
    }
}

/// Neither the log nor an error tells a password, also when the gate that was given it fails.
#[tokio::test]
async fn a_failing_gate_is_logged_by_name_and_without_the_password() {
    keep_log();
    let gates = gates(&[IsSilent, Fails]);
    let error = gates
        .authenticate(by_password("ada", "hunter2"))
        .await
        .unwrap_err()
        .to_string();
    let logged = logged();
    assert!(
        logged.contains("ERROR") && logged.contains("gate=\"Fails\""),
        "{logged}"
    );
    for text in [
        logged,
        error,
        format!("{gates:?} {:?}", by_password("ada", "hunter2")),
    ] {
        assert!(
            !text.contains("hunter2") && !text.contains("104, 117, 110"),
            "{text}"
        );
    }
}
