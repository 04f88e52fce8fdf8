//! The controller's part of reader groups: their configuration, the stream of their state, and
//! their subscriptions.

use std::collections::BTreeSet;

use pravega_sdk_proto::{
    CreateReaderGroupResponse, ReaderGroupConfigResponse, ReaderGroupConfiguration,
    ReaderGroupInfo, StreamCut, StreamInfo, SubscriberStreamCut, SubscribersResponse,
    UpdateReaderGroupResponse, create_reader_group_response, delete_reader_group_status,
    reader_group_config_response, subscribers_response, update_reader_group_response,
    update_subscriber_status,
};
use uuid::Uuid;

use super::{
    change::{Part, StreamPart},
    cut::Cut,
    error::{CallError, CallResult},
    names,
    plan::Plan,
    state::{Catalog, Group},
    stream::Subscriber,
};
use crate::{
    access::{Operation, Resource},
    store::Step,
};

/// The most cuts of a group. A request for more is a mistake.
const MAX_STREAMS: usize = 20_000;

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
            let config = Some(known.config());
            return Ok(CreateReaderGroupResponse { status: Status::Success.into(), config });
        }
        check_streams(&config)?;
        // The Java server retries forever if a subscribed stream is missing. This one fails at
        // once. A stream that the client may not read is as one that is missing.
        if !may_read_streams(&config, step)
            || (config.retention_type != 0 && !self.knows_streams(&config))
            || !self.knows_cuts(&config)
        {
            return refused(Status::Failure);
        }
        let config = ReaderGroupConfiguration { generation: 0, ..config };
        let mut plan = Plan::new();
        self.plan_internal_stream(&mut plan, &scope, &names::group_stream(&group), step)?;
        self.plan_subscription(&mut plan, &config);
        plan.scope(&scope, Part::Group(group, Some(Group::new(&config))));
        self.carry_out(plan, step)?;
        Ok(CreateReaderGroupResponse { status: Status::Success.into(), config: Some(config) })
    }

    /// The configuration of a reader group.
    pub fn group_config(&self, info: &ReaderGroupInfo) -> ReaderGroupConfigResponse {
        use reader_group_config_response::Status;
        let found = self.group(&info.scope, &info.reader_group);
        let status = if found.is_some() { Status::Success } else { Status::RgNotFound };
        let config = found.map(Group::config).unwrap_or_default();
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
        step.check_growth(0)?;
        let (scope, group) = (config.scope.clone(), config.reader_group_name.clone());
        let Some(found) = self.group(&scope, &group) else {
            return answer(Status::RgNotFound, config.generation);
        };
        let known = found.config();
        if known.generation != config.generation
            || !same_id(&known.reader_group_id, &config.reader_group_id)
        {
            return answer(Status::InvalidConfig, config.generation);
        }
        check_streams(&config)?;
        if !may_read_streams(&config, step) || !self.knows_cuts(&config) {
            return answer(Status::InvalidConfig, config.generation);
        }
        let config = ReaderGroupConfiguration { generation: config.generation + 1, ..config };
        let generation = config.generation;
        let mut plan = Plan::new();
        self.plan_unsubscription(&mut plan, &known, Some(&config));
        self.plan_subscription(&mut plan, &config);
        plan.scope(&scope, Part::Group(group, Some(Group::new(&config))));
        self.carry_out(plan, step)?;
        answer(Status::Success, generation)
    }

    /// Deletes a reader group with its state.
    pub fn delete_group(
        &mut self,
        info: &ReaderGroupInfo,
        step: &mut Step<'_>,
    ) -> CallResult<delete_reader_group_status::Status> {
        use delete_reader_group_status::Status;
        step.check_growth(0)?;
        let Some(found) = self.group(&info.scope, &info.reader_group) else {
            return Ok(Status::RgNotFound);
        };
        let config = found.config();
        if !same_id(&config.reader_group_id, &info.reader_group_id) {
            return Ok(Status::RgNotFound);
        }
        let mut plan = Plan::new();
        self.plan_unsubscription(&mut plan, &config, None);
        let stream = names::group_stream(&info.reader_group);
        let progress = self.plan_removal(&mut plan, &info.scope, &stream, step);
        plan.scope(&info.scope, Part::Group(info.reader_group.clone(), None));
        self.carry_out(plan, step)?;
        step.progress = progress;
        Ok(Status::Success)
    }

    /// Returns true if each stream of a group exists.
    fn knows_streams(&self, config: &ReaderGroupConfiguration) -> bool {
        streams(config).iter().all(|info| self.stream(&info.scope, &info.stream).is_some())
    }

    /// Returns true if the cuts of a group name only segments that their streams have or had.
    fn knows_cuts(&self, config: &ReaderGroupConfiguration) -> bool {
        let cuts = config.starting_stream_cuts.iter().chain(&config.ending_stream_cuts);
        cuts.filter(|cut| !cut.cut.is_empty()).all(|cut| {
            let info = cut.stream_info.clone().unwrap_or_default();
            let found = self.stream(&info.scope, &info.stream);
            found.is_some_and(|found| found.knows_all(&cut.cut))
        })
    }

    /// Plans the subscription of a group to its streams, whose truncation then waits for it.
    fn plan_subscription(&self, plan: &mut Plan, config: &ReaderGroupConfiguration) {
        if config.retention_type == 0 {
            return;
        }
        let name = subscriber_name(config);
        for info in streams(config) {
            let Some(found) = self.stream(&info.scope, &info.stream) else { continue };
            let known = found.subscribers.get(&name).cloned().unwrap_or_default();
            let (generation, group_id) = (config.generation, config.reader_group_id.clone());
            let part = StreamPart::Subscriber(
                name.clone(),
                Some(Subscriber { generation, group_id, ..known }),
            );
            plan.stream(&info.scope, &info.stream, part);
        }
    }

    /// Plans that a group leaves the subscribers of streams that it no longer reads.
    pub(super) fn plan_unsubscription(
        &self,
        plan: &mut Plan,
        old: &ReaderGroupConfiguration,
        new: Option<&ReaderGroupConfiguration>,
    ) {
        let name = subscriber_name(old);
        let kept = new.filter(|new| new.retention_type != 0).map(streams).unwrap_or_default();
        for info in streams(old).difference(&kept) {
            let Some(found) = self.stream(&info.scope, &info.stream) else { continue };
            if found.subscribers.contains_key(&name) {
                let part = StreamPart::Subscriber(name.clone(), None);
                plan.stream(&info.scope, &info.stream, part);
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
        step.check_growth(0)?;
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
        if !found.knows(cut.cut.len()) {
            return Ok(Status::StreamCutNotValid);
        }
        let cut = Cut::from(cut.cut);
        let is_later = known.cut.is_empty() || found.is_at_or_after(&cut, &known.cut);
        if !found.is_complete(&cut) || !is_later {
            return Ok(Status::StreamCutNotValid);
        }
        let subscriber = Some(Subscriber { cut, ..known.clone() });
        let mut plan = Plan::new();
        let part = StreamPart::Subscriber(request.subscriber, subscriber);
        plan.stream(&info.scope, &info.stream, part);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }
}

/// Refuses a group with too many streams, or with names that no stream can have.
fn check_streams(config: &ReaderGroupConfiguration) -> CallResult<()> {
    let cuts = || config.starting_stream_cuts.iter().chain(&config.ending_stream_cuts);
    let count = cuts().count();
    if count > MAX_STREAMS {
        return Err(CallError::Invalid(format!(
            "a reader group has at most {MAX_STREAMS} cuts, not {count}"
        )));
    }
    let is_named = |cut: &StreamCut| {
        let info = cut.stream_info.as_ref();
        info.is_some_and(|info| names::is_scope(&info.scope) && names::is_stream(&info.stream))
    };
    if !cuts().all(is_named) {
        return Err(CallError::Invalid("a stream of the group has no valid name".to_owned()));
    }
    Ok(())
}

/// Returns true if the client may read each stream that it makes the group hold up, or of which it
/// names segments. The truncation of a stream waits for the groups that subscribe to it, so with a
/// right on its own scope alone, a client would keep all that others write forever.
fn may_read_streams(config: &ReaderGroupConfiguration, step: &Step<'_>) -> bool {
    let Some(client) = step.client else { return true };
    let is_subscribed = config.retention_type != 0;
    let begins = config.starting_stream_cuts.iter().map(|cut| (cut, is_subscribed));
    let ends = config.ending_stream_cuts.iter().map(|cut| (cut, false));
    let named = begins.chain(ends).filter(|(cut, subscribed)| *subscribed || !cut.cut.is_empty());
    named.filter_map(|(cut, _)| cut.stream_info.as_ref()).all(|info| {
        let stream = Resource::of_stream(&info.scope, &info.stream);
        client.rules().may(Operation::Read, &stream)
    })
}

fn same_id(one: &str, other: &str) -> bool {
    Uuid::try_parse(one).ok().is_some_and(|one| Uuid::try_parse(other).ok() == Some(one))
}

/// The streams of a group, each once.
fn streams(config: &ReaderGroupConfiguration) -> BTreeSet<StreamName> {
    let name = |cut: &StreamCut| {
        let StreamInfo { scope, stream, .. } = cut.stream_info.clone().unwrap_or_default();
        StreamName { scope, stream }
    };
    config.starting_stream_cuts.iter().map(name).collect()
}

/// The name of a stream with its scope.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StreamName {
    scope: String,
    stream: String,
}

fn subscriber_name(config: &ReaderGroupConfiguration) -> String {
    format!("{}/{}", config.scope, config.reader_group_name)
}
