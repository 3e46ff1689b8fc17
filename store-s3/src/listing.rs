//! Lists: what is asked for, page by page, and what is believed of the answers.

use std::collections::BTreeSet;

use aws_sdk_s3::{operation::list_objects_v2::ListObjectsV2Output, types::EncodingType};
use replica::ports::{BucketError, Outcome, Page, Stored, check_key};

use crate::S3Url;

/// The most that S3 gives at a time.
const PAGE_OBJECTS_MAX: usize = 1_000;

/// A list of objects, or of folders.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    root: &'a str,
    prefix: String,
    /// The full key after which the objects begin; none for all of them.
    after: Option<String>,
    limit: usize,
    folders: bool,
    /// Nothing can be there.
    is_empty: bool,
}

/// What has been found so far.
#[derive(Debug)]
pub(crate) struct Found {
    objects: Vec<Stored>,
    folders: BTreeSet<String>,
    /// The last full key or folder that was listed, ours or not.
    last: Option<String>,
    more: More,
}

#[derive(Debug)]
enum More {
    Begins,
    /// The store goes on when it is given these words.
    Follows(Option<String>),
    No,
}

/// What to ask for next.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) continuation: Option<String>,
    pub(crate) limit: i32,
}

impl<'a> Listing<'a> {
    pub(crate) fn of_objects(url: &'a S3Url, prefix: &str, after: Option<&str>, limit: usize) -> Self {
        let root = url.prefix();
        // What begins before the prefix begins with it, and behind the prefix there is nothing.
        let after = after.filter(|after| *after >= prefix);
        let is_empty = after.is_some_and(|after| !after.starts_with(prefix));
        Self {
            root,
            prefix: format!("{root}{prefix}"),
            after: after.filter(|after| !after.is_empty()).map(|after| format!("{root}{after}")),
            limit: limit.clamp(1, PAGE_OBJECTS_MAX),
            folders: false,
            is_empty,
        }
    }

    pub(crate) fn of_folders(url: &'a S3Url, prefix: &str) -> Self {
        let root = url.prefix();
        Self {
            root,
            prefix: format!("{root}{prefix}"),
            after: None,
            limit: PAGE_OBJECTS_MAX,
            folders: true,
            is_empty: false,
        }
    }

    pub(crate) fn begin(&self) -> Found {
        Found {
            objects: Vec::new(),
            folders: BTreeSet::new(),
            last: None,
            more: if self.is_empty { More::No } else { More::Begins },
        }
    }

    /// What to ask for next; nothing once there is a page of objects, or all folders.
    pub(crate) fn next(&self, found: &Found) -> Option<Asked> {
        let (start_after, continuation) = match &found.more {
            More::No => return None,
            More::Follows(_) if !found.objects.is_empty() => return None,
            More::Begins => (self.after.clone(), None),
            More::Follows(Some(words)) => (None, Some(words.clone())),
            More::Follows(None) => (found.last.clone(), None),
        };
        Some(Asked {
            prefix: self.prefix.clone(),
            delimiter: self.folders.then(|| "/".to_owned()),
            start_after,
            continuation,
            limit: i32::try_from(self.limit).expect("at most 1,000"),
        })
    }

    /// Takes a page in, if it is what was asked for.
    pub(crate) fn take(&self, found: &mut Found, page: &ListObjectsV2Output) -> Result<(), BucketError> {
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let text = |listed: &str| if encoded { decoded(listed) } else { listed.to_owned() };
        let from = found.last.clone().or_else(|| self.after.clone());
        for object in page.contents() {
            let key = text(object.key().unwrap_or_default());
            if !key.starts_with(&self.prefix) {
                return Err(refuse("lists objects outside of the prefix that was asked for"));
            }
            if found.last.as_ref().or(self.after.as_ref()).is_some_and(|last| *last >= key) && !self.folders {
                return Err(refuse("gives lists out of order, or not from where they were to begin"));
            }
            let ours = &key[self.root.len()..];
            // Others may keep theirs beside ours: what could not be a key of ours is none.
            if !self.folders && check_key(ours).is_ok() {
                let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found.objects.push(Stored { key: ours.to_owned(), size });
            }
            found.last = Some(key);
        }
        for folder in page.common_prefixes() {
            let folder = text(folder.prefix().unwrap_or_default());
            let name = folder.strip_prefix(&self.prefix).and_then(|name| name.strip_suffix('/'));
            match name {
                Some(name) if check_key(name).is_ok() => drop(found.folders.insert(name.to_owned())),
                Some(_) => {}
                None => return Err(refuse("lists folders outside of the prefix that was asked for")),
            }
            found.last = found.last.take().max(Some(folder));
        }
        let words = page.next_continuation_token().map(str::to_owned);
        found.more = match page.is_truncated() {
            Some(true) if words.is_none() && found.last.as_ref() <= from.as_ref() => {
                return Err(refuse("says that a list goes on, and not from where"));
            }
            Some(true) => More::Follows(words),
            _ => More::No,
        };
        Ok(())
    }
}

impl Found {
    pub(crate) fn into_page(self) -> Page {
        Page { objects: self.objects, more: matches!(self.more, More::Follows(_)) }
    }

    pub(crate) fn into_folders(self) -> Vec<String> {
        self.folders.into_iter().collect()
    }
}

fn refuse(what: &str) -> BucketError {
    BucketError::new(Outcome::Refused, format!("the store {what}, so it cannot hold a log"))
}

/// A key as S3 encodes it in lists: `%` and two digits for a byte, and `+` for a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
