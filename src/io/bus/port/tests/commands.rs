//! Commands: confirmed, left open, refused.

use super::*;

/// Returns a device with one register that is written and not read back.
fn written(address: u16) -> ProfileSpec {
    let mut profile = lone(address);
    profile.points[0].write = Some(Box::new(WritePolicy {
        read_back: ReadBack::Never,
        ..WritePolicy::default()
    }));
    profile
}

fn confirmed(value: u64) -> WriteVerdict {
    WriteVerdict::Confirmed {
        written: Value::UInt(value),
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_confirms_no_command_on_a_line_that_was_heard_to_echo() {
    for does_it in [true, false] {
        let mut w = world(serial(9600), vec![written(1)]);
        let pipe = w.plug().await;
        line(pipe, move |_, request| match request[1] {
            6 if does_it => vec![(1, request.to_vec()), (20, request.to_vec())],
            6 => vec![(1, request.to_vec())],
            _ => vec![(1, request.to_vec()), (20, reply(request, 5))],
        });
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        w.command(3).await;
        let wanted = match does_it {
            true => confirmed(3),
            false => WriteVerdict::Unknown(UnknownReason::NoReply),
        };
        assert_eq!(w.command_ended().await, (3, wanted));
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_is_verified_by_reading_it_back_and_the_hub_gets_it_first() {
    for holds in [7, 8] {
        let mut profile = written(1);
        profile.points[0].write = Some(Box::default());
        let mut w = world(serial(9600), vec![profile]);
        let pipe = w.plug().await;
        line(pipe, move |n, request| match request[1] {
            6 => vec![(20, request.to_vec())],
            _ if n == 0 => vec![(20, reply(request, 5))],
            _ => vec![(20, reply(request, holds))],
        });
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        w.command(7).await;
        // The write brings no value, the read behind it does.
        assert_eq!(w.polled().await, (0, ANSWER, vec![]));
        assert_eq!(w.polled().await, (0, ANSWER, vec![holds.into()]));
        let read = Value::UInt(holds.into());
        let written = Value::UInt(7);
        let verdict = match holds {
            7 => WriteVerdict::Verified { read },
            _ => WriteVerdict::Different { written, read },
        };
        assert_eq!(w.command_ended().await, (7, verdict));
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_on_the_wire_when_the_line_was_lost_is_open_and_the_next_not_sent() {
    let mut w = world(serial(9600), vec![written(1)]);
    let pipe = w.plug().await;
    let (heard_in, mut heard) = mpsc::channel(1);
    let slave = line(pipe, move |_, request| match request[1] {
        6 => {
            let _ = heard_in.try_send(());
            vec![]
        }
        _ => vec![(20, reply(request, 5))],
    });
    assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    w.command(3).await;
    heard.recv().await.unwrap();
    w.command(4).await;
    slave.abort();
    let lost = WriteVerdict::Unknown(UnknownReason::NoReply);
    assert_eq!(w.command_ended().await, (3, lost));
    let down = WriteVerdict::Refused(RefusedReason::PortDown);
    assert_eq!(w.command_ended().await, (4, down.clone()));
    w.command(5).await;
    assert_eq!(w.command_ended().await, (5, down));
}
