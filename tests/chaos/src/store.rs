//! The world: three buckets in one store, and a link from each region to each of them.

use std::{collections::BTreeMap, net::SocketAddr};

use aws_credential_types::Credentials;
use servers::{Cloud, S3Server};
use store_s3::{S3Bucket, S3Url};

use crate::link::Link;

/// The regions. The replicas have the same names.
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// The store and the links to it.
#[derive(Debug)]
pub(crate) struct World {
    /// The store in this process, if it is that.
    inside: Option<(Cloud, S3Server)>,
    endpoint: String,
    access_key: String,
    secret_key: String,
    /// From each region to each bucket.
    links: Vec<Vec<Link>>,
    /// Tells the buckets of this run from those of others.
    run: u64,
}

impl World {
    pub(crate) async fn start(elsewhere: Option<&str>, seed: u64, run: u64) -> Result<Self, String> {
        let (inside, endpoint, keys) = match elsewhere {
            None => {
                let cloud = Cloud::new();
                let server = S3Server::start(&cloud).map_err(|error| format!("no S3 server: {error}"))?;
                let (endpoint, keys) = (server.url(), cloud.admin());
                (Some((cloud, server)), endpoint, (keys.access_key, keys.secret_key))
            }
            Some(endpoint) => (None, endpoint.to_owned(), ("test".to_owned(), "test".to_owned())),
        };
        let address: SocketAddr = endpoint
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .map_err(|error| format!("not the address of a server: {endpoint}: {error}"))?;
        let mut links = Vec::new();
        for from in 0..REGIONS.len() {
            let mut of_region = Vec::new();
            for to in 0..REGIONS.len() {
                let link = Link::open(address, seed.wrapping_mul(31) + (from * 3 + to) as u64 + 1).await;
                of_region.push(link.map_err(|error| format!("no port: {error}"))?);
            }
            links.push(of_region);
        }
        let world = Self { inside, endpoint, access_key: keys.0, secret_key: keys.1, links, run };
        world.create_buckets().await?;
        Ok(world)
    }

    async fn create_buckets(&self) -> Result<(), String> {
        for region in REGIONS {
            match &self.inside {
                Some((cloud, _)) => cloud.create_bucket(&self.bucket(region), region),
                None => create_bucket(&self.endpoint, &self.bucket(region)).await?,
            }
        }
        Ok(())
    }

    /// The store, if it is in this process.
    pub(crate) fn server(&self) -> Option<&S3Server> {
        self.inside.as_ref().map(|(_, server)| server)
    }

    /// How often the store in this process did what wrong so far.
    pub(crate) fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.server().map(|server| server.faults().injected()).unwrap_or_default()
    }

    /// The keys in a region's bucket that begin so, in order; none if the store is elsewhere.
    pub(crate) fn keys_in(&self, region: &str, prefix: &str) -> Vec<String> {
        let keys = self.inside.as_ref().map(|(cloud, _)| cloud.keys_in(&self.bucket(region)));
        keys.unwrap_or_default().into_iter().filter(|key| key.starts_with(prefix)).collect()
    }

    fn bucket(&self, region: &str) -> String {
        format!("chaos-{}-{region}", self.run)
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> &Link {
        &self.links[from][to]
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten()
    }

    /// A bucket as a region reaches it, over its link.
    pub(crate) fn url(&self, from: usize, to: usize) -> String {
        self.url_at(&format!("http://{}", self.links[from][to].address()), REGIONS[to])
    }

    fn url_at(&self, endpoint: &str, region: &str) -> String {
        format!("s3://{}?region={region}&endpoint={endpoint}", self.bucket(region))
    }

    /// A bucket without any link.
    pub(crate) async fn direct(&self, region: &str) -> Result<S3Bucket, String> {
        let url = self.url_at(&self.endpoint, region);
        open(&url, &self.access_key, &self.secret_key).await
    }

    /// What the processes sign with.
    pub(crate) fn keys(&self) -> (&str, &str) {
        (&self.access_key, &self.secret_key)
    }
}

/// Opens a bucket with these keys.
pub(crate) async fn open(url: &str, access_key: &str, secret_key: &str) -> Result<S3Bucket, String> {
    let parsed: S3Url = url.parse().map_err(|error| format!("{error}"))?;
    let keys = Credentials::from_keys(access_key, secret_key, None);
    S3Bucket::open_as(&parsed, keys).await.map_err(|error| error.to_string())
}

/// Creates a bucket with one plain request, in the region that every S3 takes without a word: moto does not look at
/// signatures.
async fn create_bucket(endpoint: &str, bucket: &str) -> Result<(), String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(host).await?;
        let head = format!(
            "PUT /{bucket} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<String, std::io::Error>(answer)
    };
    let answer = asked.await.map_err(|error| format!("{endpoint} does not answer: {error}"))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!("{endpoint} does not create a bucket: {}", answer.lines().next().unwrap_or_default())),
    }
}
