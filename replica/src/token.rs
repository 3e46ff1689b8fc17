//! Tokens: what a reader has seen, to be carried to another replica.
//! Layer 5.

use core::{fmt, pin::pin, str::FromStr, time::Duration};

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Dot, Frontier, Position, ReplicaId};
use futures_util::future::{Either, select};

use crate::{
    error::{Error, ErrorKind},
    replica::Replica,
};

/// The first byte of a token's text: the version of its format.
const VERSION: u8 = 1;

/// How many bytes of a hash end it.
const CHECK_BYTES: usize = 4;

/// Everything that a reader at some replica could have seen. Whoever waits for it elsewhere reads at least that.
///
/// It gives read-your-writes, and reads that never go back, to a client who moves between regions: [`Replica::token`] after
/// a read or a durable write, carry it as text, and [`Replica::wait_for`] before the next read.
///
/// # Text
///
/// In lower-case hexadecimal digits: version, then for each replica its id and a position, in ascending order of ids, then a
/// check. 10 digits, and 32 for each replica. One token has one text; whatever is cut off or mistyped is no token.
///
/// ```
/// # let open = |name| replica::blocking::Replica::open(replica::Replica::builder(name, store_object::MemoryBucket::new()));
/// # let replica = open("eu-west-1")?;
/// replica.durable(replica.or_set("carts/ada")?.add("lamp")?)?;
/// let text = replica.token().to_string();
/// let token: replica::Token = text.parse().expect("what was printed");
/// assert!(replica.has_applied(&token));
/// # Ok::<(), replica::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token(Frontier);

impl Token {
    /// The last position seen of each log.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.0
    }

    /// Takes in all that `other` has seen.
    pub fn join(&mut self, other: &Self) {
        self.0.join(&other.0);
    }
}

impl From<Frontier> for Token {
    fn from(frontier: Frontier) -> Self {
        Self(frontier)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        for Dot { replica, position } in &self.0 {
            bytes.extend_from_slice(&replica.get().get().to_be_bytes());
            bytes.extend_from_slice(&u64::from(position).to_be_bytes());
        }
        let check = check(&bytes);
        bytes.iter().chain(&check).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(InvalidToken);
        }
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let bytes = bytes.ok_or(InvalidToken)?;
        let (bytes, given) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(InvalidToken)?;
        if *given != check(bytes) {
            return Err(InvalidToken);
        }
        let dots = bytes.strip_prefix(&[VERSION]).ok_or(InvalidToken)?;
        let (words, rest) = dots.as_chunks::<8>();
        let (pairs, odd) = words.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(InvalidToken);
        }
        let dot = |[replica, position]: &[[u8; 8]; 2]| {
            let replica = core::num::NonZeroU64::new(u64::from_be_bytes(*replica))?;
            Some(Dot { replica: ReplicaId::from(replica), position: Position::from(u64::from_be_bytes(*position)) })
        };
        let dots: Option<Vec<Dot>> = pairs.iter().map(dot).collect();
        dots.and_then(|dots| Frontier::try_from(dots).ok()).map(Self).ok_or(InvalidToken)
    }
}

/// Not against malice, but against what is cut off on its way.
fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::hash(bytes);
    core::array::from_fn(|index| hash.as_bytes()[index])
}

/// Not the text of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidToken;

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a token, or not a whole one; take it as `Replica::token` gave it")
    }
}

impl core::error::Error for InvalidToken {}

impl Replica {
    /// What has been applied here and is durable: nothing that a crash could take back is in it. A change that was made here
    /// is in it once its [`durable`](crate::Written::durable) has been waited for.
    ///
    /// # Cost
    ///
    /// 16 bytes for each replica.
    #[must_use]
    pub fn token(&self) -> Token {
        let engine = self.engine();
        let (own, durable) = (engine.keyspace.replica(), engine.durable.reached());
        // The own log is applied as far as it has been cut, which may be ahead of what is in the bucket.
        let seen = |dot: Dot| match engine.writes && dot.replica == own {
            true if is_planted(Mutant::TokenAheadOfTheBucket) => dot,
            true => Dot { position: dot.position.min(durable), ..dot },
            false => dot,
        };
        Token(engine.state().applied.frontier.iter().map(seen).collect())
    }

    /// True when all that `token` has seen has been applied here.
    #[must_use]
    pub fn has_applied(&self, token: &Token) -> bool {
        self.engine().state().applied.frontier.covers_all(&token.0)
    }

    /// Waits until all that `token` has seen has been applied here. Whoever reads then reads at least that.
    ///
    /// It asks nobody: it waits for what the background applies. It may be dropped at any time, as by a timeout. A token of
    /// another keyspace, or of what an evicted replica wrote beyond its end, is never reached.
    ///
    /// # Errors
    ///
    /// What stops the replica, if that comes first.
    pub async fn wait_for(&self, token: &Token) -> Result<(), Error> {
        self.engine().wait_for(&token.0).await
    }

    /// The same for at most as long as `patience`. Returns whether it was reached.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    pub async fn wait_for_within(&self, token: &Token, patience: Duration) -> Result<bool, Error> {
        let sleep = self.engine().world.clock.sleep(patience);
        match select(pin!(self.wait_for(token)), sleep).await {
            Either::Left((reached, _)) => reached.map(|()| true),
            Either::Right(((), _)) => Ok(false),
        }
    }
}

impl From<InvalidToken> for Error {
    fn from(invalid: InvalidToken) -> Self {
        Self::new(ErrorKind::Invalid, invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(dots: &[(u64, u64)]) -> Token {
        let dot = |(replica, position): &(u64, u64)| Dot {
            replica: core::num::NonZeroU64::new(*replica).unwrap().into(),
            position: Position::from(*position),
        };
        Token(dots.iter().map(dot).collect())
    }

    #[test]
    fn a_token_is_read_back_from_its_text() {
        for token in [token(&[]), token(&[(1, 0)]), token(&[(u64::MAX, u64::MAX), (3, 7), (2, 1 << 32)])] {
            let text = token.to_string();
            assert_eq!(text.len(), 10 + 32 * token.frontier().len());
            assert_eq!(text.parse(), Ok(token));
        }
        assert_eq!(Token::default().to_string().len(), 10);
    }

    /// Every proper part of a token, and every token with one digit changed, is refused: none reads as having seen less.
    #[test]
    fn whatever_is_not_a_whole_token_is_refused() {
        let text = token(&[(2, 5), (9, 1)]).to_string();
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<Token>(), Err(InvalidToken), "{end}");
        }
        for at in 0..text.len() {
            for digit in "0f1 G\u{e4}".chars().filter(|digit| !text[at..].starts_with(*digit)) {
                let changed = format!("{}{digit}{}", &text[..at], &text[at + 1..]);
                assert_eq!(changed.parse::<Token>(), Err(InvalidToken), "{changed}");
            }
        }
        assert_eq!(text.to_uppercase().parse::<Token>(), Err(InvalidToken));
        let sealed = |mut bytes: Vec<u8>| {
            bytes.extend(check(&bytes));
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let entry = |replica: u64| [replica.to_be_bytes(), 7_u64.to_be_bytes()].concat();
        for wrong in [
            vec![],
            vec![2],
            [vec![1], entry(0)].concat(),
            [vec![1], entry(5), entry(4)].concat(),
            [vec![1], entry(5), entry(5)].concat(),
            [vec![1], entry(5)[..8].to_vec()].concat(),
        ] {
            assert_eq!(sealed(wrong.clone()).parse::<Token>(), Err(InvalidToken), "{wrong:?}");
        }
    }
}
