//! Every call of the controller, by a client with each account of the file that both servers have.

use pravega_sdk_integration_tests::harness::{
    FAR,
    calls::{CALLS, ask, basic, connect},
    url,
};
use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use pravega_sdk_server::EmbeddedServer;
use tokio::time::timeout;
use tonic::{Code, transport::Channel};

use super::answers::{Answers, Known, Names};
use crate::secured::variable;

/// What a controller does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It makes the call, which may fail.
    LetIn,
    Unauthenticated,
    Denied,
}

impl Answer {
    fn of(code: Code) -> Self {
        match code {
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Denied,
            _ => Self::LetIn,
        }
    }
}

/// The only call that needs no account.
const FREE: &str = "get_controller_server_list";
/// A client, whose scheme the embedded server knows, as RFC 9110 has it.
const LOWER_CASE: &str = "the scheme in lower case";

pub(super) const GROUPS: &str = "readers need the right to change on a standalone server; on any \
                                 other, unless configured, the right to read is enough";
pub(super) const TABLES: &str = "a table has its own resource here, also for tokens; for Java's \
                                 controller its segments are those of a stream";

const KNOWN: &[Known<Answer>] = &[
    Known {
        requests: Names::AllBut(&[FREE]),
        clients: Names::Only(&[LOWER_CASE]),
        there: Answer::Unauthenticated,
        here: Answer::LetIn,
        why: "a scheme has no case",
    },
    Known::of(
        &[
            "create_stream of a group",
            "create_reader_group",
            "update_reader_group",
            "delete_reader_group",
        ],
        &["all-READ", "scope-READ"],
        (Answer::Denied, Answer::LetIn),
        GROUPS,
    ),
    Known::of(
        &["get_delegation_token to write a group"],
        &["all-READ", "group-READ"],
        (Answer::Denied, Answer::LetIn),
        GROUPS,
    ),
    Known::of(
        &["get_uri of a table", "get_delegation_token to read a table by its segments"],
        &["table-READ", "table-READ_UPDATE"],
        (Answer::Denied, Answer::LetIn),
        TABLES,
    ),
    Known::of(
        &["get_uri of a table", "get_delegation_token to read a table by its segments"],
        &["streams"],
        (Answer::LetIn, Answer::Denied),
        TABLES,
    ),
    Known::of(
        &["get_delegation_token to read", "get_delegation_token for nothing"],
        &["table-READ", "table-READ_UPDATE", "all-but-a-stream"],
        (Answer::Denied, Answer::LetIn),
        TABLES,
    ),
    Known::of(
        &[
            "get_delegation_token to read and write",
            "get_delegation_token of old clients",
            "get_delegation_token to write",
            "get_delegation_token to write a table",
        ],
        &["table-READ_UPDATE", "all-but-a-stream"],
        (Answer::Denied, Answer::LetIn),
        TABLES,
    ),
    Known::of(
        &["get_delegation_token to write marks"],
        &["all-but-a-stream"],
        (Answer::Denied, Answer::LetIn),
        TABLES,
    ),
];

/// The users of a file of accounts, each with its rules, but for the one whose password is another.
pub(super) fn users(file: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let user = |line: &str| {
        let fields: Vec<_> = line.splitn(3, ':').collect();
        (fields[0].to_owned(), fields[2].to_owned())
    };
    text.lines().map(user).filter(|(name, _)| name != "odd").collect()
}

/// The controller of each server, both with the accounts of the same file.
pub(super) struct Controllers {
    pub(super) there: ControllerServiceClient<Channel>,
    pub(super) here: ControllerServiceClient<Channel>,
    _embedded: EmbeddedServer,
}

impl Controllers {
    pub(super) async fn of(file: &str) -> Self {
        let embedded = EmbeddedServer::builder().with_accounts_file(file).start().await.unwrap();
        let (there, here) = (connect(&url()).await, connect(&embedded.url()).await);
        Self { there, here, _embedded: embedded }
    }

    /// Makes a call; returns its code there and here.
    async fn ask(&mut self, number: usize, header: Option<&str>) -> (Code, Code) {
        let asked = async {
            tokio::join!(ask(&mut self.there, number, header), ask(&mut self.here, number, header))
        };
        timeout(FAR, asked).await.expect("a controller does not answer")
    }
}

/// Clients with their headers: those that no server should know, and one for each account.
fn clients(users: &[(String, String)], password: &str) -> Vec<(String, Option<String>)> {
    let right = basic("admin", password);
    let odd = [
        ("no account", None),
        ("a wrong password", Some(basic("admin", "wrong"))),
        ("an empty password", Some(basic("admin", ""))),
        ("a wrong user", Some(basic("bob", password))),
        ("another scheme", Some(right.replace("Basic", "Bearer"))),
        (LOWER_CASE, Some(right.replace("Basic", "basic"))),
        ("no scheme", Some(password.to_owned())),
        ("nothing but a scheme", Some("Basic".to_owned())),
    ];
    let odd = odd.map(|(client, header)| (client.to_owned(), header));
    let known = users.iter().map(|(user, _)| (user.clone(), Some(basic(user, password))));
    odd.into_iter().chain(known).collect()
}

#[tokio::test]
async fn both_controllers_let_in_the_same_clients() {
    let file = variable("PRAVEGA_TEST_ACCOUNTS");
    let users = users(&file);
    for call in CALLS.iter().filter(|call| !call.needs.is_empty()) {
        let has_account = users.iter().any(|(_, rules)| rules == call.needs);
        assert!(has_account, "{}: no account has only {}", call.name, call.needs);
    }
    let mut controllers = Controllers::of(&file).await;
    let mut answers = Answers::new();
    for (client, header) in clients(&users, &variable("PRAVEGA_TEST_PASSWORD")) {
        for (number, call) in CALLS.iter().enumerate() {
            let (there, here) = controllers.ask(number, header.as_deref()).await;
            answers.add(call.name, &client, Answer::of(there), Answer::of(here));
        }
    }
    answers.check(KNOWN);
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_a_failure_there_and_are_refused_here() {
    let mut controllers = Controllers::of(&variable("PRAVEGA_TEST_ACCOUNTS")).await;
    // No Base64, and no colon.
    for unreadable in ["Basic !", "Basic YWRtaW4="] {
        for (number, call) in CALLS.iter().enumerate() {
            let codes = controllers.ask(number, Some(unreadable)).await;
            assert_eq!(
                codes,
                (Code::Unknown, Code::Unauthenticated),
                "{unreadable}: {}",
                call.name
            );
        }
    }
}
