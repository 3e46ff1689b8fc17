//! The engine over the buckets of a service, on tokio: three regions that write, one of which is taken over, agree in
//! the end.

use core::time::Duration;

use replica::{ErrorKind, Replica, Settings, ports::Bucket};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];
const ROUNDS: u64 = 20;

async fn opened<B: Bucket + Clone + 'static>(buckets: &[B], region: usize) -> Replica {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(20);
    settings.poll_min = Duration::from_millis(50);
    settings.poll_max = Duration::from_millis(500);
    settings.discovery_interval = Duration::from_millis(500);
    settings.snapshot_interval = Duration::from_millis(500);
    let mut builder = Replica::builder(REGIONS[region], buckets[region].clone()).settings(settings);
    for (peer, bucket) in buckets.iter().enumerate().filter(|(peer, _)| *peer != region) {
        builder = builder.peer(REGIONS[peer], bucket.clone());
    }
    builder.open().await.expect("it opens")
}

async fn write(replica: &Replica, round: u64) {
    replica.pn_counter("likes").expect("a counter").add(1).expect("room");
    let seen = replica.or_set("seen").expect("a set");
    let element = format!("{}/{round}", replica.name());
    seen.add(element.as_str()).expect("room").durable().await.expect("it is durable");
}

/// Every durable change of every region is in every region, also after one was opened once more while it ran.
///
/// # Panics
///
/// With what is otherwise.
pub async fn three_replicas_agree<B: Bucket + Clone + 'static>(buckets: &[B]) {
    let mut replicas = Vec::new();
    for region in 0..REGIONS.len() {
        replicas.push(opened(buckets, region).await);
    }
    for round in 0..ROUNDS {
        for replica in &replicas {
            write(replica, round).await;
        }
    }
    // A second process of one name takes the log over; the first is stopped by the bucket.
    let again = opened(buckets, 0).await;
    let fenced = async {
        loop {
            let written = replicas[0].pn_counter("lost").and_then(|lost| lost.add(1));
            let durable = match written {
                Ok(written) => written.durable().await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = durable {
                return error;
            }
        }
    };
    let stopped = tokio::time::timeout(Duration::from_secs(30), fenced).await.expect("it is stopped in time");
    assert_eq!(stopped.kind(), ErrorKind::Fenced, "{stopped}");
    replicas[0] = again;
    write(&replicas[0], ROUNDS).await;

    let tokens: Vec<_> = replicas.iter().map(Replica::token).collect();
    for replica in &replicas {
        for token in &tokens {
            let reached = tokio::time::timeout(Duration::from_secs(60), replica.wait_for(token)).await;
            reached.expect("it catches up in time").expect("it catches up");
        }
        let written = ROUNDS * REGIONS.len() as u64 + 1;
        assert_eq!(replica.pn_counter("likes").expect("a counter").value(), i128::from(written), "{}", replica.name());
        let seen = replica.or_set::<str>("seen").expect("a set");
        assert_eq!(seen.elements().expect("its elements").len() as u64, written, "{}", replica.name());
        assert_eq!(replica.status().alarms, [], "{}", replica.name());
    }
    for replica in replicas {
        replica.close().await.expect("it closes");
    }
}
