//! What the engine does with what is known of the time: readings whose time
//! nobody vouches for wait until somebody does ([`crate::cloud::alink::clock`]).

use crate::base::{Mono, Now, Reading};

use crate::cloud::alink::clock::ClockNews;
use crate::cloud::alink::engine::Cloud;
use crate::cloud::alink::events::Notice;

impl Cloud {
    /// Whether the system's clock is synchronised. Until first told, stamps are
    /// taken as they come.
    pub fn on_clock(&mut self, now: Now, synchronised: bool) {
        let news = self.stamps.system(now, synchronised);
        self.clock_news(now, news);
    }

    /// Until the time is known.
    pub(crate) fn hold(&mut self, now: Mono, reading: Reading) {
        self.diary.counters.held += 1;
        let dropped = self.stamps.hold(reading, self.spec.cloud.post.queue);
        self.diary.counters.dropped_unstamped += dropped;
        if dropped > 0 {
            let dropped = ClockNews::Dropped { readings: dropped };
            self.diary.often(now, Notice::Clock(dropped));
        }
    }

    /// Tells what became known of the time; what waited for it goes on.
    pub(crate) fn clock_news(&mut self, now: Now, news: Option<ClockNews>) {
        if let Some(news) = news {
            self.diary.tell(Notice::Clock(news));
        }
        while let Some(reading) = self.stamps.release() {
            self.posts.put(now, reading, &mut self.diary);
        }
    }
}
