//! The controller's part of reader groups: their configuration, the stream of their state, and
//! their subscriptions.

use pravega_sdk_proto::{
    CreateReaderGroupResponse, ReaderGroupConfigResponse, ReaderGroupConfiguration,
    ReaderGroupInfo, StreamInfo, SubscriberStreamCut, SubscribersResponse,
    UpdateReaderGroupResponse, create_reader_group_response, delete_reader_group_status,
    reader_group_config_response, subscribers_response, update_reader_group_response,
    update_subscriber_status,
};
use uuid::Uuid;

use super::{
    cut::Cut,
    error::{CallError, CallResult},
    names,
    state::{Catalog, Group},
    stream::Subscriber,
};
use crate::store::Step;

impl Catalog {
    /// Creates a reader group with a stream for its state, or returns the one that exists.
    pub fn create_group(
        &mut self,
        config: ReaderGroupConfiguration,
        step: &mut Step<'_>,
    ) -> CallResult<CreateReaderGroupResponse> {
        use create_reader_group_response::Status;
        let refused =
            |status: Status| Ok(CreateReaderGroupResponse { status: status.into(), config: None });
        if Uuid::try_parse(&config.reader_group_id).is_err() {
            return Err(CallError::unspecified());
        }
        let (scope, group) = (config.scope.clone(), config.reader_group_name.clone());
        if !names::is_group(&group) {
            return refused(Status::InvalidRgName);
        }
        let Some(found) = self.scopes.get(&scope) else {
            return refused(Status::ScopeNotFound);
        };
        if let Some(known) = found.groups.get(&group) {
            let config = Some(known.config.clone());
            return Ok(CreateReaderGroupResponse { status: Status::Success.into(), config });
        }
        // The Java server retries forever if a subscribed stream is missing. This one fails at
        // once.
        let missing = |info: &StreamInfo| self.stream(&info.scope, &info.stream).is_none();
        if config.retention_type != 0 && streams(&config).iter().any(missing) {
            return refused(Status::Failure);
        }
        step.reserve(1)?;
        let config = ReaderGroupConfiguration { generation: 0, ..config };
        self.ensure_internal_stream(&scope, &names::group_stream(&group), step)?;
        self.subscribe(&config, step);
        if let Some(found) = self.scopes.get_mut(&scope) {
            found.groups.insert(group.clone(), Group { config: config.clone() });
        }
        self.save_group(step.journal, &scope, &group);
        Ok(CreateReaderGroupResponse { status: Status::Success.into(), config: Some(config) })
    }

    /// The configuration of a reader group.
    pub fn group_config(&self, info: &ReaderGroupInfo) -> ReaderGroupConfigResponse {
        use reader_group_config_response::Status;
        let found = self.group(&info.scope, &info.reader_group);
        let status = if found.is_some() { Status::Success } else { Status::RgNotFound };
        let config = found.map(|group| group.config.clone()).unwrap_or_default();
        ReaderGroupConfigResponse { config: Some(config), status: status.into() }
    }

    /// Replaces the configuration of a reader group, if its generation is the present one.
    pub fn update_group(
        &mut self,
        config: ReaderGroupConfiguration,
        step: &mut Step<'_>,
    ) -> CallResult<UpdateReaderGroupResponse> {
        use update_reader_group_response::Status;
        let answer = |status: Status, generation| {
            Ok(UpdateReaderGroupResponse { status: status.into(), generation })
        };
        step.reserve(0)?;
        let (scope, group) = (config.scope.clone(), config.reader_group_name.clone());
        let found = self.group_mut(&scope, &group);
        let Some(found) = found else {
            return answer(Status::RgNotFound, config.generation);
        };
        let known = &found.config;
        if known.generation != config.generation
            || !same_id(&known.reader_group_id, &config.reader_group_id)
        {
            return answer(Status::InvalidConfig, config.generation);
        }
        let old = known.clone();
        let config = ReaderGroupConfiguration { generation: config.generation + 1, ..config };
        let generation = config.generation;
        found.config = config.clone();
        self.unsubscribe(&old, Some(&config), step);
        self.subscribe(&config, step);
        self.save_group(step.journal, &scope, &group);
        answer(Status::Success, generation)
    }

    /// Deletes a reader group with its state.
    pub fn delete_group(
        &mut self,
        info: &ReaderGroupInfo,
        step: &mut Step<'_>,
    ) -> CallResult<delete_reader_group_status::Status> {
        use delete_reader_group_status::Status;
        step.reserve(0)?;
        let found = self.group(&info.scope, &info.reader_group);
        match found {
            Some(group) if same_id(&group.config.reader_group_id, &info.reader_group_id) => {
                self.drop_group(&info.scope, &info.reader_group, step);
                Ok(Status::Success)
            }
            _ => Ok(Status::RgNotFound),
        }
    }

    /// Removes a group with its state.
    pub(super) fn drop_group(&mut self, scope: &str, group: &str, step: &mut Step<'_>) {
        let Some(dropped) = self.scopes.get_mut(scope).and_then(|scope| scope.groups.remove(group))
        else {
            return;
        };
        self.unsubscribe(&dropped.config, None, step);
        self.drop_stream(scope, &names::group_stream(group), step);
        self.save_group(step.journal, scope, group);
    }

    /// Subscribes a group to its streams, whose truncation then waits for it.
    fn subscribe(&mut self, config: &ReaderGroupConfiguration, step: &mut Step<'_>) {
        if config.retention_type == 0 {
            return;
        }
        let name = subscriber_name(config);
        for info in streams(config) {
            let Some(found) = self.stream_mut(&info.scope, &info.stream) else { continue };
            let subscriber =
                found.subscribers.entry(name.clone()).or_insert_with(Subscriber::default);
            subscriber.generation = config.generation;
            subscriber.group_id.clone_from(&config.reader_group_id);
            self.save_stream(step.journal, &info.scope, &info.stream);
        }
    }

    /// Removes a group from the subscribers of streams that it no longer reads.
    fn unsubscribe(
        &mut self,
        old: &ReaderGroupConfiguration,
        new: Option<&ReaderGroupConfiguration>,
        step: &mut Step<'_>,
    ) {
        let name = subscriber_name(old);
        let kept = new.filter(|new| new.retention_type != 0).map(streams).unwrap_or_default();
        for info in streams(old) {
            if kept.contains(&info) {
                continue;
            }
            let Some(found) = self.stream_mut(&info.scope, &info.stream) else { continue };
            if found.subscribers.remove(&name).is_some() {
                self.save_stream(step.journal, &info.scope, &info.stream);
            }
        }
    }

    /// The reader groups that the truncation of a stream waits for.
    pub fn subscribers(&self, info: &StreamInfo) -> SubscribersResponse {
        use subscribers_response::Status;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return SubscribersResponse {
                subscribers: Vec::new(),
                status: Status::StreamNotFound.into(),
            };
        };
        SubscribersResponse {
            subscribers: found.subscribers.keys().cloned().collect(),
            status: Status::Success.into(),
        }
    }

    /// Records the cut up to which a subscriber no longer needs the stream.
    pub fn update_subscriber(
        &mut self,
        request: SubscriberStreamCut,
        step: &mut Step<'_>,
    ) -> CallResult<update_subscriber_status::Status> {
        use update_subscriber_status::Status;
        step.reserve(0)?;
        let cut = request.stream_cut.unwrap_or_default();
        let info = cut.stream_info.unwrap_or_default();
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::StreamNotFound);
        };
        let Some(known) = found.subscribers.get(&request.subscriber) else {
            return Ok(Status::SubscriberNotFound);
        };
        if !same_id(&known.group_id, &request.reader_group_id) {
            return Ok(Status::SubscriberNotFound);
        }
        if known.generation != request.generation {
            return Ok(Status::GenerationMismatch);
        }
        let cut = Cut::from(cut.cut);
        let is_later = known.cut.is_empty() || found.is_at_or_after(&cut, &known.cut);
        if !found.is_complete(&cut) || !is_later {
            return Ok(Status::StreamCutNotValid);
        }
        let known = self
            .stream_mut(&info.scope, &info.stream)
            .and_then(|found| found.subscribers.get_mut(&request.subscriber));
        if let Some(known) = known {
            known.cut = cut;
        }
        self.save_stream(step.journal, &info.scope, &info.stream);
        Ok(Status::Success)
    }
}

fn same_id(one: &str, other: &str) -> bool {
    Uuid::try_parse(one).ok().is_some_and(|one| Uuid::try_parse(other).ok() == Some(one))
}

/// The streams of a group.
fn streams(config: &ReaderGroupConfiguration) -> Vec<StreamInfo> {
    let info = |cut: &pravega_sdk_proto::StreamCut| {
        let info = cut.stream_info.clone().unwrap_or_default();
        StreamInfo { access_operation: 0, ..info }
    };
    config.starting_stream_cuts.iter().map(info).collect()
}

fn subscriber_name(config: &ReaderGroupConfiguration) -> String {
    format!("{}/{}", config.scope, config.reader_group_name)
}
