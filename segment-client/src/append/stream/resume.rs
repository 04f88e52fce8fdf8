//! Going on after everything that was under way was lost.

use pravega_sdk_types::SegmentId;

use super::machine::WriterMachine;

impl<T, W> WriterMachine<T, W> {
    /// Begins again for every event that is not done, as the connections and the questions to the
    /// controller ended with their runtime. Events in flight may be stored, which the next set-up
    /// of their segment shows.
    pub(crate) fn resume(&mut self) {
        self.effects.clear();
        let segments: Vec<SegmentId> = self.writers.keys().copied().collect();
        for segment in segments {
            let Some(writer) = self.writers.get_mut(&segment) else { continue };
            let (is_sealed, is_done) = (writer.is_sealed(), writer.appends.is_empty());
            self.leave(segment);
            if is_done {
                continue;
            }
            if is_sealed {
                self.find_successors(segment);
            } else {
                self.locate(segment);
            }
        }
        self.connections.clear();
    }
}
