//! What a client is told when its request can't be answered.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Seconds after which a client may try again when the server is full.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The most characters of a reason.
const MAX_SHOWN: usize = 1000;

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: it breaks its own format.
    Malformed(String),
    /// 401: it has no token, or a wrong one.
    Unauthorized,
    /// 403: it comes from a page of another site.
    Forbidden(String),
    /// 404: there is no such model, source or path.
    Unknown(String),
    /// 405: its path takes other methods.
    WrongMethod,
    /// 406: its answer is wanted in a form that there is none of.
    NotAcceptable(String),
    /// 408: its body came too slowly, or more slowly than others.
    TooSlow(String),
    /// 412: what it is about has changed since its client read it.
    Changed(String),
    /// 413: its body is too long.
    TooLong(String),
    /// 415: its body is of a kind that is not read; the header that says what
    /// is, its value, and why.
    Unread(HeaderName, &'static str, String),
    /// 422: its image can't be used, and why.
    Unusable(String),
    /// 428: it doesn't say which state of its object it is about.
    Unconditional,
    /// 429: as much is waiting, or held in memory, as may be.
    Full,
    /// 500: our own fault.
    Broken(String),
    /// 501: it is sent in a way that is not known.
    UnknownCoding(String),
    /// 503: the server is about to end, or too slow.
    Unavailable(String),
}

impl Refusal {
    /// For who comes after the server was told to end.
    pub(crate) fn ending() -> Self {
        Self::Unavailable("the server is about to end".into())
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Changed(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(..) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unconditional => StatusCode::PRECONDITION_REQUIRED,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownCoding(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The reason as it may be shown: names in it may come from anywhere, be of
    /// any length, and hold control characters, which command terminals.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::new();
        for character in self.message().chars().take(MAX_SHOWN) {
            if character.is_control() {
                shown.extend(character.escape_unicode());
            } else {
                shown.push(character);
            }
        }
        shown
    }

    fn message(&self) -> &str {
        match self {
            Self::Unauthorized => "expected the server's token as `Authorization: Bearer TOKEN`",
            Self::WrongMethod => "this path takes other methods, as the header `Allow` says",
            Self::Unconditional => {
                "expected the header `If-Match` with the `ETag` of what is to be changed"
            }
            Self::Full => "as many requests are waiting as may wait; try again soon",
            Self::Malformed(message)
            | Self::Forbidden(message)
            | Self::Unknown(message)
            | Self::NotAcceptable(message)
            | Self::TooSlow(message)
            | Self::Changed(message)
            | Self::TooLong(message)
            | Self::Unread(_, _, message)
            | Self::Unusable(message)
            | Self::Broken(message)
            | Self::UnknownCoding(message)
            | Self::Unavailable(message) => message,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.shown() }));
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Full | Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            Self::Unauthorized => {
                let scheme = HeaderValue::from_static("Bearer");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            Self::Unread(name, value, _) => {
                headers.insert(name, HeaderValue::from_static(value));
            }
            // The rest of the body stands in the way of another request.
            Self::TooSlow(_) | Self::TooLong(_) => {
                let close = HeaderValue::from_static("close");
                headers.insert(header::CONNECTION, close);
            }
            _ => {}
        }
        response
    }
}
