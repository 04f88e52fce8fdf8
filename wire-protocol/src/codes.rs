//! Numbers in replies that mean a reason.

use crate::{
    DecodeProblem, EncodeError, SendBuffer,
    field::{Field, FieldReader},
    value::{Value, ValueError},
};

macro_rules! code_type {
    (
        $(#[$doc:meta])* $name:ident, unknown is $unknown:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Returns the number on the wire.
            #[must_use]
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Decodes a number as the Java client does.
            #[must_use]
            pub fn from_code(code: i32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::$unknown,
                }
            }
        }

        impl Field for $name {
            const MIN_LEN: usize = 4;

            fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
                i32::decode(reader).map(Self::from_code)
            }

            fn encoded_len(&self) -> Result<usize, EncodeError> {
                Ok(4)
            }

            fn encode(&self, out: &mut SendBuffer) {
                self.code().encode(out);
            }

            fn to_value(&self) -> Value {
                Value::Int(self.code())
            }

            fn from_value(value: Value) -> Result<Self, ValueError> {
                i32::from_value(value).map(Self::from_code)
            }

            fn show(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self, f)
            }
        }
    };
}

code_type! {
    /// Why a delegation token was refused; an unknown number is read as a failed check.
    TokenFailure, unknown is CheckFailed {
        /// The peer gave no reason.
        Unspecified = -1,
        /// The token is invalid, or not valid for this segment.
        CheckFailed = 0,
        /// The token has expired: fetch another one.
        Expired = 1,
    }
}

code_type! {
    /// Why a request failed; an unknown number is read as unspecified.
    FailureCode, unknown is Unspecified {
        /// The peer gave no reason.
        Unspecified = -1,
        /// An argument of the request is invalid.
        IllegalArgument = 0,
        /// The peer has no space for what the request adds. The embedded server alone says so;
        /// other clients read the number as unspecified.
        OutOfSpace = 507,
        /// What is asked for is damaged on the peer's disk, or missing there. The embedded server
        /// alone says so; other clients read the number as unspecified.
        Damaged = 508,
    }
}
