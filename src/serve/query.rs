//! The query part of a request target: `name=value&name=value`, percent-encoded, with `+` for a space.
//!
//! In: raw text. Out: decoded values by name. A name that was asked for and is given twice is refused: either value
//! could be meant.

use std::borrow::Cow;

/// A query that has not been read yet.
pub(super) struct Query<'a>(&'a str);

/// A query that cannot be read. Says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("the query is not UTF-8 after percent-decoding: encode it as UTF-8")]
    NotUtf8,
    #[error("{0} is given more than once: give it once")]
    Repeated(&'static str),
}

impl<'a> Query<'a> {
    /// Of a target's part after `?`.
    pub(super) fn new(raw: Option<&'a str>) -> Self {
        Self(raw.unwrap_or_default())
    }

    /// The values of `names`, in their order. Other parameters are passed over, whatever they are.
    pub(super) fn values<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Option<Cow<'a, str>>; N], QueryError> {
        let mut values = [const { None }; N];
        for pair in self.0.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Ok(name) = decode(name) else { continue };
            let Some(at) = names.iter().position(|wanted| *wanted == name) else { continue };
            if values[at].replace(decode(value)?).is_some() {
                return Err(QueryError::Repeated(names[at]));
            }
        }
        Ok(values)
    }
}

/// Decodes one name or value. A `%` that two hex digits do not follow stands for itself, as the URL standard has it.
fn decode(raw: &str) -> Result<Cow<'_, str>, QueryError> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().map_err(|_| QueryError::NotUtf8)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(raw: &str) -> Result<[Option<String>; 2], QueryError> {
        Ok(Query::new(Some(raw)).values(["a", "b"])?.map(|value| value.map(Cow::into_owned)))
    }

    #[test]
    fn values_are_found_by_name_and_decoded() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(two("a=1&b=2"), Ok([some("1"), some("2")]));
        assert_eq!(two("b=x+y%2Bz&c=3"), Ok([None, some("x y+z")]));
        assert_eq!(two("%61=at%3A%2F%2Fdid%253A"), Ok([some("at://did%3A"), None]));
        assert_eq!(two("a"), Ok([some(""), None]));
        assert_eq!(two("a=1=2&&="), Ok([some("1=2"), None]));
        assert_eq!(two("a=100%&b=%zz"), Ok([some("100%"), some("%zz")]));
        assert_eq!(two(""), Ok([None, None]));
        assert_eq!(Query::new(None).values(["a"]), Ok([None]));
    }

    #[test]
    fn what_could_be_meant_in_two_ways_is_refused() {
        assert_eq!(two("a=1&a=1"), Err(QueryError::Repeated("a")));
        assert_eq!(two("a=%ff"), Err(QueryError::NotUtf8));
        assert_eq!(two("c=1&c=2&d=%ff"), Ok([None, None]), "nobody asked for these");
    }
}
