//! The report of a soak, and whether each bound held.

use super::{
    good::Errors,
    ledger::Faults,
    memory::Memory,
    options::Options,
    phase::{Phase, Wait, Watch},
};

/// How many times longer than when alone the clients that behave may wait.
const MAX_RATIO: f64 = 5.0;
/// What the server may have beside its limit, in bytes.
const BESIDE_THE_LIMIT: u64 = 64 << 20;
/// The share of the limit that the allocator may lose by rounding.
const ALLOCATOR_SHARE: u64 = 8;
/// The longest that a writer may wait for the refusal of an event when the server is full.
const MAX_REFUSAL_US: f64 = 1_000_000.0;

/// The phases that are reported.
const MEASURED: [Phase; 6] =
    [Phase::Quiet, Phase::Attack, Phase::After, Phase::Filling, Phase::Full, Phase::Relieved];

/// Everything that a soak found.
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) watch: &'a Watch,
    pub(super) memory: &'a Memory,
    /// The figures of each kind, as the process that misbehaves printed them.
    pub(super) kinds: String,
    /// The numbers of events acknowledged, refused, and of unknown fate.
    pub(super) fates: [usize; 3],
    /// What the readers at the tails saw, and what was read back, after a crash if there is a
    /// folder.
    pub(super) followed: Faults,
    pub(super) read_back: Faults,
    pub(super) read: usize,
    pub(super) errors: Errors,
    /// What the server wrote to its standard error.
    pub(super) log: String,
    /// Failures of the soak itself, such as a server that ended.
    pub(super) failures: Vec<String>,
}

impl Report<'_> {
    /// Prints the report; returns the bounds that are broken.
    pub(super) fn print(&self) -> Vec<String> {
        self.print_kinds();
        self.print_waits();
        self.print_rest();
        let broken = self.broken();
        for broken in &broken {
            println!("BROKEN: {broken}");
        }
        if broken.is_empty() {
            println!("all bounds held");
        }
        broken
    }

    fn print_kinds(&self) {
        println!(
            "{:18} {:>7} {:>10} {:>10} {:>10} {:>8} {:>6}",
            "kind", "clients", "attempts", "answered", "refused", "ended", "hung"
        );
        for line in self.kinds.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [name, clients, attempts, answered, refused, ended, hung] = words[..] {
                println!(
                    "{name:18} {clients:>7} {attempts:>10} {answered:>10} {refused:>10} \
                     {ended:>8} {hung:>6}"
                );
            } else {
                println!("{line}");
            }
        }
    }

    fn print_waits(&self) {
        println!(
            "\n{:10} {:12} {:>9} {:>10} {:>10} {:>12} {:>12}",
            "phase", "wait", "count", "p50 us", "p99 us", "longest us", "peak MiB"
        );
        for phase in MEASURED {
            for wait in Wait::ALL {
                let waits = self.watch.waits(phase, wait);
                if waits.count() == 0 {
                    continue;
                }
                println!(
                    "{:10} {:12} {:>9} {:>10.0} {:>10.0} {:>12.0} {:>12}",
                    phase.name(),
                    wait.name(),
                    waits.count(),
                    waits.percentile_us(0.5),
                    waits.percentile_us(0.99),
                    waits.percentile_us(1.0),
                    self.memory.peak(phase) >> 10,
                );
            }
        }
    }

    fn print_rest(&self) {
        let [acknowledged, refused, unknown] = self.fates;
        println!("\nevents: {acknowledged} acknowledged, {refused} refused, {unknown} unknown");
        println!("read at the tail: {:?}", self.followed);
        println!("read back: {} events, {:?}", self.read, self.read_back);
        for (error, count) in &self.errors {
            println!("met {count} times, {error}");
        }
        let lines: Vec<&str> = self.log.lines().collect();
        if !lines.is_empty() {
            println!("the server wrote {} lines, the last of them:", lines.len());
        }
        for line in lines.iter().rev().take(10).rev() {
            println!("    {line}");
        }
    }

    /// Returns how many times longer than when alone clients waited under attack, by the 99th
    /// percentile; infinity if there is nothing to compare.
    fn ratio(&self, wait: Wait) -> f64 {
        let [quiet, attack] =
            [Phase::Quiet, Phase::Attack].map(|phase| self.watch.waits(phase, wait));
        if quiet.count() == 0 || attack.count() == 0 {
            return f64::INFINITY;
        }
        attack.percentile_us(0.99) / quiet.percentile_us(0.99)
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = self.failures.clone();
        println!("machine p99: {:.2} times of quiet", self.ratio(Wait::Machine));
        for wait in [Wait::Append, Wait::EndToEnd] {
            let ratio = self.ratio(wait);
            println!("{} p99: {ratio:.2} times of quiet, at most {MAX_RATIO}", wait.name());
            if ratio > MAX_RATIO {
                broken.push(format!("the p99 of {} is {ratio:.1} times of quiet", wait.name()));
            }
        }
        let limit = self.options.memory_bytes().unwrap_or(u64::MAX >> 1);
        let allowed = (limit + BESIDE_THE_LIMIT + limit / ALLOCATOR_SHARE) >> 10;
        let peak = MEASURED.map(|phase| self.memory.peak(phase)).into_iter().max().unwrap_or(0);
        println!("memory: {} MiB at the peak, at most {} MiB", peak >> 10, allowed >> 10);
        if peak > allowed {
            broken.push(format!("{} MiB were resident of {} MiB", peak >> 10, allowed >> 10));
        }
        if self.followed.any() || self.read_back.any() {
            broken.push("the streams are not what was acknowledged".to_owned());
        }
        if self.watch.waits(Phase::Attack, Wait::Refusal).count() > 0 {
            broken.push("clients that behave were refused under attack".to_owned());
        }
        for phase in [Phase::Filling, Phase::Full] {
            let refusals = self.watch.waits(phase, Wait::Refusal);
            let longest = refusals.percentile_us(1.0);
            if refusals.count() > 0 && longest > MAX_REFUSAL_US {
                broken.push(format!("a refusal took {:.1} s", longest / 1e6));
            }
            let appends = self.watch.waits(phase, Wait::Append).percentile_us(1.0);
            if appends > MAX_REFUSAL_US {
                let name = phase.name();
                broken.push(format!("{name}: a writer heard nothing for {:.1} s", appends / 1e6));
            }
        }
        broken
    }
}
