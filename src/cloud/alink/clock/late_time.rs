//! How the engine treats readings whose time is not known: they wait until the system or
//! the platform confirms the time ([`crate::cloud::alink::clock`]).

use crate::base::{Mono, Now, Reading};

use crate::cloud::alink::clock::events::ClockNews;
use crate::cloud::alink::engine::Cloud;
use crate::cloud::alink::events::Notice;

impl Cloud {
    /// Takes note whether the system's clock is synchronised. Until the first call, stamps
    /// are taken as they come.
    pub fn on_clock(&mut self, now: Now, synchronised: bool) {
        let news = self.timestamps.system(now, synchronised);
        self.clock_news(now, news);
    }

    /// Holds a reading until the time is known.
    pub(crate) fn hold(&mut self, now: Mono, reading: Reading) {
        self.outbox.count().held += 1;
        let dropped = self.timestamps.hold(reading, self.spec.cloud.post.queue);
        self.outbox.count().dropped_unstamped += dropped;
        if dropped > 0 {
            let dropped = ClockNews::Dropped { readings: dropped };
            self.outbox.often(now, Notice::Clock(dropped));
        }
    }

    /// Reports what became known of the time; readings that waited for it go on.
    pub(crate) fn clock_news(&mut self, now: Now, news: Option<ClockNews>) {
        if let Some(news) = news {
            self.outbox.tell(Notice::Clock(news));
        }
        while let Some(reading) = self.timestamps.release() {
            self.posts.put(now, reading, &mut self.outbox);
        }
    }
}
