//! Calls about reader groups, and about the streams that they subscribe to.

use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream,
};

use super::answer::{Result, call, failed, judge, no_scope, no_stream, refused};
use crate::{
    ControllerError, Deletion, Subscriber,
    grpc::{client::ControllerClient, convert},
};

pub(super) async fn create_reader_group(
    client: &ControllerClient,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> Result<ReaderGroupConfiguration> {
    use proto::create_reader_group_response::Status;
    let name = "createReaderGroup";
    if configuration.id().is_nil() {
        return Err(ControllerError::invalid("a reader group needs an id that is not nil")
            .with_operation(name, group));
    }
    // The server stores the generation of the request for its subscribers, but returns 0: only with
    // 0 both agree.
    let first = configuration.clone().with_identity(configuration.id(), Some(0));
    let message = convert::group_config(group, &first)?;
    let answer = call!(client, "createReaderGroup", Harmless, group, create_reader_group, message)?;
    judge!("createReaderGroup", group, answer, Status, answer.message.status, {
        Status::Success => match &answer.message.config {
            Some(config) => convert::group_configuration(config),
            None => Err(ControllerError::protocol("the answer lacks a configuration")),
        },
        Status::ScopeNotFound => no_scope(),
        Status::InvalidRgName => {
            refused(ErrorKind::InvalidName, "the controller refuses this name")
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn reader_group_configuration(
    client: &ControllerClient,
    group: &ScopedReaderGroup,
) -> Result<ReaderGroupConfiguration> {
    use proto::reader_group_config_response::Status;
    let message = proto::ReaderGroupInfo {
        scope: group.scope().to_string(),
        reader_group: group.group().to_string(),
        ..proto::ReaderGroupInfo::default()
    };
    let answer =
        call!(client, "getReaderGroupConfig", Harmless, group, get_reader_group_config, message)?;
    judge!("getReaderGroupConfig", group, answer, Status, answer.message.status, {
        Status::Success => match &answer.message.config {
            Some(config) => convert::group_configuration(config),
            None => Err(ControllerError::protocol("the answer lacks a configuration")),
        },
        Status::RgNotFound => no_group(),
        Status::Failure => failed(),
    })
}

pub(super) async fn update_reader_group(
    client: &ControllerClient,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> Result<i64> {
    use proto::update_reader_group_response::Status;
    let message = convert::group_config(group, configuration)?;
    let answer = call!(client, "updateReaderGroup", Harmful, group, update_reader_group, message)?;
    judge!("updateReaderGroup", group, answer, Status, answer.message.status, {
        Status::Success => Ok(answer.message.generation),
        Status::RgNotFound => no_group(),
        Status::InvalidConfig => {
            refused(
                ErrorKind::ConditionFailed,
                "the group has another id or generation now; read it again",
            )
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn delete_reader_group(
    client: &ControllerClient,
    group: &ScopedReaderGroup,
    id: uuid::Uuid,
) -> Result<Deletion> {
    use proto::delete_reader_group_status::Status;
    let message = proto::ReaderGroupInfo {
        scope: group.scope().to_string(),
        reader_group: group.group().to_string(),
        reader_group_id: id.to_string(),
        ..proto::ReaderGroupInfo::default()
    };
    let answer = call!(client, "deleteReaderGroup", Harmless, group, delete_reader_group, message)?;
    judge!("deleteReaderGroup", group, answer, Status, answer.message.status, {
        Status::Success => Ok(Deletion::Deleted),
        Status::RgNotFound => Ok(Deletion::NotFound),
        Status::Failure => failed(),
    })
}

pub(super) async fn subscribers(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Vec<String>> {
    use proto::subscribers_response::Status;
    let answer = call!(
        client,
        "listSubscribers",
        Harmless,
        stream,
        list_subscribers,
        convert::stream_info(stream)
    )?;
    judge!("listSubscribers", stream, answer, Status, answer.message.status, {
        Status::Success => Ok(()),
        Status::StreamNotFound => no_stream(),
        Status::Failure => failed(),
    })?;
    Ok(answer.message.subscribers)
}

pub(super) async fn update_subscriber_cut(
    client: &ControllerClient,
    subscriber: &Subscriber,
    cut: &BoundedCut,
) -> Result<()> {
    use proto::update_subscriber_status::Status;
    let message = proto::SubscriberStreamCut {
        subscriber: subscriber.group.to_string(),
        generation: subscriber.generation,
        reader_group_id: subscriber.id.to_string(),
        stream_cut: Some(convert::stream_cut(cut)),
    };
    let group = &subscriber.group;
    let answer = call!(
        client,
        "updateSubscriberStreamCut",
        Harmless,
        group,
        update_subscriber_stream_cut,
        message
    )?;
    judge!("updateSubscriberStreamCut", group, answer, Status, answer.message.status, {
        Status::Success => Ok(()),
        Status::StreamNotFound => no_stream(),
        Status::SubscriberNotFound => {
            refused(ErrorKind::NotFound, "the stream has no such subscriber")
        },
        Status::StreamCutNotValid => {
            refused(ErrorKind::InvalidStreamCut, "the controller refuses this cut")
        },
        Status::GenerationMismatch => {
            refused(ErrorKind::ConditionFailed, "the group has another generation now")
        },
        Status::Failure => failed(),
    })
}

fn no_group<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such reader group")
}
