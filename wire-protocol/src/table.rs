//! The grammar in which [`commands`](crate::commands) is written.

use bytes::Bytes;

use crate::{DecodeError, EncodeError, MAX_REQUEST_LIST, SendBuffer, value::Value};

/// A command of the protocol.
pub trait Command: Clone + std::fmt::Debug + PartialEq + sealed::Sealed {
    /// The type in the frame's header.
    const CODE: i32;
    /// The name of the command in the protocol.
    const NAME: &'static str;
    /// Who sends it.
    const KIND: CommandKind;

    /// Checks the fields, and returns the length of the payload in bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a field cannot be encoded.
    fn payload_len(&self) -> Result<usize, EncodeError>;

    /// Writes the payload; only after [`Self::payload_len`] succeeded.
    fn put_payload(&self, out: &mut SendBuffer);

    /// Decodes the payload of a frame. Bytes after the last known field are ignored, as newer peers
    /// may send more.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the payload is not that of the command.
    fn decode_payload(payload: Bytes) -> Result<Self, DecodeError>;

    /// Returns the fields by their names in the protocol, in wire order.
    fn fields(&self) -> Vec<(String, Value)>;
}

/// A command with an id by which its reply is matched.
pub trait Correlated: Command {
    /// The reply that means success.
    type Reply: Command;

    /// Returns the id by which the reply is matched.
    fn request_id(&self) -> i64;

    /// Sets the id by which the reply is matched.
    fn set_request_id(&mut self, id: i64);

    /// Returns the length of the request's data in bytes, without header and small fields; for
    /// limits.
    fn size_hint(&self) -> usize {
        self.payload_len().unwrap_or(0)
    }
}

/// The sender of a command, and its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// Both sides send it.
    Both,
    /// The client sends it.
    Request,
    /// The server sends it.
    Reply,
    /// The server sends it instead of the reply that means success.
    Failure,
    /// It is part of an append block.
    Inside,
}

impl CommandKind {
    /// The most elements of a list.
    pub(crate) fn max_list(self) -> usize {
        match self {
            Self::Request => MAX_REQUEST_LIST,
            Self::Both | Self::Reply | Self::Failure | Self::Inside => usize::MAX,
        }
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Returns the id of a command, if it has one.
macro_rules! request_id_of {
    ($command:expr;) => {
        None
    };
    ($command:expr; request_id $($rest:ident)*) => {
        Some($command.request_id)
    };
    ($command:expr; $other:ident $($rest:ident)*) => {
        request_id_of!($command; $($rest)*)
    };
}

macro_rules! layout {
    () => {
        crate::field::Plain
    };
    ($layout:ident) => {
        crate::field::$layout
    };
}

/// Reads a field, or uses its default if the frame ends before it.
macro_rules! decode_field {
    ($reader:expr, $type:ty, [$($layout:ident)?]) => {
        <layout!($($layout)?) as Layout<$type>>::decode($reader)?
    };
    ($reader:expr, $type:ty, [$($layout:ident)?], $default:expr) => {
        if $reader.remaining() < <layout!($($layout)?) as Layout<$type>>::READ_FROM {
            $default
        } else {
            <layout!($($layout)?) as Layout<$type>>::decode($reader)?
        }
    };
    // Any byte that is left makes the Java decoder read the field, and fail if there are too few.
    ($reader:expr, $type:ty, [$($layout:ident)?], $default:expr, if_any_byte) => {
        if $reader.remaining() == 0 {
            $default
        } else {
            <layout!($($layout)?) as Layout<$type>>::decode($reader)?
        }
    };
}

/// The form of a field in `Debug` output.
macro_rules! shown {
    (delegation_token, $field:expr) => {
        &crate::field::Hidden
    };
    ($other:ident, $field:expr) => {
        &crate::field::Shown($field)
    };
}

macro_rules! default_of {
    () => {
        None
    };
    ($default:expr) => {
        Some($default)
    };
}

macro_rules! kind_of {
    (both) => {
        CommandKind::Both
    };
    (request) => {
        CommandKind::Request
    };
    (reply) => {
        CommandKind::Reply
    };
    (failure) => {
        CommandKind::Failure
    };
    (inside) => {
        CommandKind::Inside
    };
}

macro_rules! request_of {
    ($name:ident) => {};
    ($name:ident $reply:ident) => {
        impl Correlated for $name {
            type Reply = $reply;

            fn request_id(&self) -> i64 {
                self.request_id
            }

            fn set_request_id(&mut self, id: i64) {
                self.request_id = id;
            }
        }
    };
}

macro_rules! commands {
    ($(
        $(#[$doc:meta])*
        $code:literal $name:ident $kind:ident $(-> $reply:ident)? {
            $(
                $(#[$field_doc:meta])*
                $field:ident: $type:ty $([$layout:ident])? $(= $default:expr $(=> $rule:ident)?)?,
            )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq)]
            pub struct $name {
                $(
                    $(#[$field_doc])*
                    #[doc = concat!(
                        "\n`",
                        stringify!($type),
                        "`; see the [table of fields](crate::commands#fields)."
                    )]
                    pub $field: $type,
                )*
            }

            impl std::fmt::Debug for $name {
                /// Shows neither the token nor the bytes of payloads, only their lengths.
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($name))
                        $(.field(stringify!($field), shown!($field, &self.$field)))*
                        .finish()
                }
            }

            impl sealed::Sealed for $name {}

            impl Command for $name {
                const CODE: i32 = $code;
                const NAME: &'static str = stringify!($name);
                const KIND: CommandKind = kind_of!($kind);

                fn payload_len(&self) -> Result<usize, EncodeError> {
                    Ok(0 $(+ <layout!($($layout)?) as Layout<$type>>::encoded_len(&self.$field)?)*)
                }

                fn put_payload(&self, _out: &mut SendBuffer) {
                    $(<layout!($($layout)?) as Layout<$type>>::encode(&self.$field, _out);)*
                }

                fn decode_payload(payload: Bytes) -> Result<Self, DecodeError> {
                    fn decode(_reader: &mut FieldReader) -> Result<$name, DecodeProblem> {
                        Ok($name {
                            $($field: decode_field!(
                                _reader, $type, [$($layout)?] $(, $default $(, $rule)?)?
                            ),)*
                        })
                    }
                    decode(&mut FieldReader::new(payload, Self::KIND.max_list()))
                        .map_err(|problem| DecodeError::new(Some(Self::NAME), Self::CODE, problem))
                }

                fn fields(&self) -> Vec<(String, Value)> {
                    vec![$((
                        protocol_name(stringify!($field)),
                        <layout!($($layout)?) as Layout<$type>>::to_value(&self.$field),
                    ),)*]
                }
            }

            impl From<$name> for WireCommand {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }

            impl TryFrom<WireCommand> for $name {
                type Error = WireCommand;

                fn try_from(command: WireCommand) -> Result<Self, WireCommand> {
                    match command {
                        WireCommand::$name(command) => Ok(command),
                        other => Err(other),
                    }
                }
            }

            request_of!($name $($reply)?);
        )*

        /// Any command that can be a frame.
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq)]
        pub enum WireCommand {
            $(
                #[doc = concat!("Type ", stringify!($code), ".")]
                $name($name),
            )*
        }

        impl WireCommand {
            /// The names of all commands, in the order of the table.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Returns true if a frame may have this type.
            #[must_use]
            pub fn is_known(code: i32) -> bool {
                matches!(code, $($code)|*)
            }

            /// Decodes the payload of a frame of type `code`.
            ///
            /// # Errors
            ///
            /// [`DecodeError`] if the type is not known, or the payload is not that of the command.
            pub fn decode_payload(code: i32, payload: Bytes) -> Result<Self, DecodeError> {
                match code {
                    $($code => <$name as Command>::decode_payload(payload).map(Self::$name),)*
                    _ => Err(DecodeError::new(None, code, DecodeProblem::UnknownType)),
                }
            }

            /// Appends the command to `out` as a frame.
            ///
            /// # Errors
            ///
            /// [`EncodeError`] if the command cannot be encoded; nothing is written then.
            pub fn encode(&self, out: &mut SendBuffer) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(command) => out.push(command),)*
                }
            }

            /// Returns the length of the payload in bytes.
            ///
            /// # Errors
            ///
            /// [`EncodeError`] if a field cannot be encoded.
            pub fn payload_len(&self) -> Result<usize, EncodeError> {
                match self {
                    $(Self::$name(command) => command.payload_len(),)*
                }
            }

            /// Returns the type in the frame's header.
            #[must_use]
            pub fn code(&self) -> i32 {
                match self {
                    $(Self::$name(_) => $code,)*
                }
            }

            /// Returns the name of the command in the protocol.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Returns the sender of the command, and its role.
            #[must_use]
            pub fn kind(&self) -> CommandKind {
                match self {
                    $(Self::$name(_) => <$name as Command>::KIND,)*
                }
            }

            /// Returns the id by which requests and replies are matched, if the command carries
            /// one.
            #[must_use]
            pub fn request_id(&self) -> Option<i64> {
                match self {
                    $(Self::$name(_command) => request_id_of!(_command; $($field)*),)*
                }
            }

            /// Returns the fields by their names in the protocol, in wire order.
            #[must_use]
            pub fn fields(&self) -> Vec<(String, Value)> {
                match self {
                    $(Self::$name(command) => command.fields(),)*
                }
            }

            /// Returns the names of the fields of the command called `name`, in wire order, and
            /// whether each may be left out.
            #[must_use]
            pub fn field_names(name: &str) -> Option<Vec<(String, bool)>> {
                match name {
                    $(stringify!($name) => Some(vec![$((
                        protocol_name(stringify!($field)),
                        {
                            let default: Option<$type> = default_of!($($default)?);
                            default.is_some()
                        },
                    ),)*]),)*
                    _ => None,
                }
            }

            /// Builds the command called `name`; fields with a default may be left out.
            ///
            /// # Errors
            ///
            /// [`ValueError`] names the field and what is wrong with it.
            pub fn from_fields(
                name: &str,
                fields: Vec<(String, Value)>,
            ) -> Result<Self, ValueError> {
                let mut _fields = Fields::new(fields);
                let command = match name {
                    $(stringify!($name) => Self::$name($name {
                        $($field: _fields.take(
                            &protocol_name(stringify!($field)),
                            <layout!($($layout)?) as Layout<$type>>::from_value,
                            default_of!($($default)?),
                        )?,)*
                    }),)*
                    _ => return Err(ValueError::UnknownCommand(name.to_owned())),
                };
                _fields.finish()?;
                Ok(command)
            }
        }
    };
}

pub(crate) use {
    commands, decode_field, default_of, kind_of, layout, request_id_of, request_of, shown,
};
