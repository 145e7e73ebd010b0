//! Any messages of the platform: replies, orders, notices and configurations.
#![no_main]

use alink_gateway::cloud::alink::wire::payload;
use alink_gateway::cloud::alink::wire::payload::relation::Ordered;
use alink_gateway::cloud::alink::wire::payload::remote::Pushed;
use alink_gateway::cloud::alink::wire::topic::Topic;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = payload::Reply::parse(data);
    let _ = Ordered::parse(data);
    let _ = Pushed::parse(data);
    if let Some(topic) = std::str::from_utf8(data).ok().and_then(Topic::parse) {
        let _ = topic.reply();
    }
});
