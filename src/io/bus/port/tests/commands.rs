//! Commands: confirmed, left open, refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_echo_confirms_no_command_on_a_line_that_was_heard_to_echo() {
    for does_it in [true, false] {
        let mut w = world(serial(9600), vec![lone(1)]);
        let pipe = w.plug().await;
        line(pipe, move |_, request| match request[1] {
            6 if does_it => vec![(1, request.to_vec()), (20, request.to_vec())],
            6 => vec![(1, request.to_vec())],
            _ => vec![(1, request.to_vec()), (20, reply(request, 5))],
        });
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        let end = w.command(3).await.await.unwrap();
        let wanted = match does_it {
            true => End::Confirmed,
            false => End::Unanswered(Miss::Silence),
        };
        assert_eq!(end, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_on_the_wire_when_the_line_was_lost_is_open_and_the_next_not_sent() {
    let mut w = world(serial(9600), vec![lone(1)]);
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
    let first = w.command(3).await;
    let second = w.command(4).await;
    heard.recv().await.unwrap();
    slave.abort();
    let lost = End::Unanswered(Miss::ConnectionLost);
    assert_eq!(first.await.unwrap(), lost);
    assert_eq!(second.await.unwrap(), End::Refused(Refused::LineDown));
    let third = w.command(5).await;
    assert_eq!(third.await.unwrap(), End::Refused(Refused::LineDown));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_command_when_the_port_ends_is_not_left_waiting() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| match request[1] {
        6 => vec![],
        _ => vec![(20, reply(request, 5))],
    });
    assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    let end = w.command(3).await;
    w.stop.cancel();
    assert!(end.await.is_err());
}
