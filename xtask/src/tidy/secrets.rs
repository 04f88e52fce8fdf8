//! No type shows a secret by a derived `Debug`.
//!
//! A field is secret by its name, or, without one, by that of its type or variant. It may have a
//! type that hides its value, such as `SecretString` or `DelegationToken`; a type with plain text
//! or plain bytes in it writes `Debug` by hand. So does one with `Zeroizing`, which is only around
//! secrets and shows them.

use syn::{Attribute, Field, Fields, GenericArgument, Item, PathArguments, Type};

use super::source::{SourceFile, is_test_only};

/// Parts of names that mean a secret.
const SECRET: &[&str] = &[
    "secret",
    "password",
    "passphrase",
    "token",
    "credential",
    "authorization",
    "private_key",
    "signing_key",
];

/// Names that mean none, though a part of them does.
const EXEMPT: &[&str] = &["continuation_token", "page_token", "need_token"];

/// Types around secrets that hide them.
const HIDING: &[&str] = &["SecretString", "SecretBox", "SecretSlice"];

/// A type around secrets that shows them.
const SHOWING: &str = "Zeroizing";

/// Types that show all that they hold.
const PLAIN: &[&str] = &["String", "str", "ByteString", "Bytes", "BytesMut", "HeaderValue", "u8"];

/// Reports every field of a secret that a derived `Debug` shows.
pub(super) fn check(folder: &str, files: &[SourceFile], broken: &mut Vec<String>) {
    for file in files.iter().filter(|file| file.is_product(folder) && !file.is_generated()) {
        let mut shown = Vec::new();
        shown_secrets(&file.syntax.items, &mut shown);
        for place in shown {
            let path = &file.path;
            broken.push(format!("{path}: the derived Debug of {place} shows a secret"));
        }
    }
}

fn shown_secrets(items: &[Item], shown: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Struct(item) if derives_debug(&item.attrs) => {
                let fields = shown_fields(&item.ident.to_string(), &item.fields);
                shown.extend(fields.map(|field| format!("{}.{field}", item.ident)));
            }
            Item::Enum(item) if derives_debug(&item.attrs) => {
                for variant in &item.variants {
                    let owner = format!("{}{}", item.ident, variant.ident);
                    let fields = shown_fields(&owner, &variant.fields);
                    let name = format!("{}::{}", item.ident, variant.ident);
                    shown.extend(fields.map(|field| format!("{name}.{field}")));
                }
            }
            Item::Mod(item) if !is_test_only(&item.attrs) => {
                let content = item.content.as_ref();
                shown_secrets(content.map_or(&[], |(_, items)| items), shown);
            }
            _ => {}
        }
    }
}

/// Returns true if a field is a secret, whether its type hides it or not.
pub(super) fn has_any(owner: &str, fields: &Fields) -> bool {
    let is_hidden = |field: &Field| HIDING.iter().any(|name| mentions(&field.ty, name));
    fields.iter().any(is_hidden) || shown_fields(owner, fields).next().is_some()
}

/// The fields with secrets that a derived `Debug` shows; `owner` is their type, with the variant.
fn shown_fields<'a>(owner: &str, fields: &'a Fields) -> impl Iterator<Item = String> + use<'a> {
    let owner = snake_case(owner);
    fields.iter().enumerate().filter_map(move |(at, field)| {
        let name = field.ident.as_ref().map(ToString::to_string);
        let meaning = name.clone().unwrap_or_else(|| owner.clone());
        let is_secret = SECRET.iter().any(|part| meaning.contains(part))
            && !EXEMPT.contains(&meaning.as_str())
            && is_plain(&field.ty);
        let is_shown = is_secret || mentions(&field.ty, SHOWING);
        is_shown.then(|| name.unwrap_or_else(|| at.to_string()))
    })
}

/// The name of a type, in the form of the name of a field.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

/// Returns true if a type holds plain text or bytes, in whatever container.
fn is_plain(of: &Type) -> bool {
    names_in(of).iter().any(|name| PLAIN.iter().any(|plain| name == plain))
}

/// Returns true if a type has this name, or one in it has.
fn mentions(of: &Type, name: &str) -> bool {
    names_in(of).iter().any(|part| part == name)
}

/// The names of a type and of the types in it.
pub(super) fn names_in(of: &Type) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = vec![of];
    while let Some(next) = rest.pop() {
        match next {
            Type::Reference(inner) => rest.push(&inner.elem),
            Type::Array(inner) => rest.push(&inner.elem),
            Type::Slice(inner) => rest.push(&inner.elem),
            Type::Tuple(inner) => rest.extend(&inner.elems),
            Type::Path(path) => {
                let Some(last) = path.path.segments.last() else { continue };
                names.push(last.ident.to_string());
                if let PathArguments::AngleBracketed(list) = &last.arguments {
                    rest.extend(list.args.iter().filter_map(|argument| match argument {
                        GenericArgument::Type(inner) => Some(inner),
                        _ => None,
                    }));
                }
            }
            _ => {}
        }
    }
    names
}

fn derives_debug(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let derived = list.tokens.to_string().replace(' ', "");
        attribute.path().is_ident("derive") && derived.split(',').any(|name| name == "Debug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn found(source: &str) -> usize {
        let tree = Scratch::new(&[("types/src/lib.rs", source)]);
        let files = SourceFile::read_crate(tree.path(), "types").unwrap();
        let mut broken = Vec::new();
        check("types", &files, &mut broken);
        broken.len()
    }

    #[test]
    fn a_derived_debug_that_shows_a_secret_is_refused() {
        for source in [
            "#[derive(Debug)] struct A { password: String }",
            "#[derive(Clone, Debug)] pub struct A { secret: [u8; 32] }",
            "#[derive(Debug)] struct A<'a> { delegation_token: &'a str }",
            "#[derive(Debug)] struct A { tokens: Vec<(u64, bytes::Bytes)> }",
            "#[derive(Debug)] enum A { B { credentials: Option<Arc<str>> } }",
            "mod inner { #[derive(Debug)] struct A { authorization: HeaderValue } }",
            "#[derive(Debug)] struct BearerToken(String);",
            "#[derive(Debug)] enum A { Password(Vec<u8>) }",
            "#[derive(Debug)] enum Password { Kept([u8; 32]), Missing }",
            "#[derive(Debug)] struct A { body: Option<Zeroizing<Vec<u8>>> }",
        ] {
            assert_eq!(found(source), 1, "{source}");
        }
    }

    #[test]
    fn a_secret_of_a_type_that_hides_it_and_a_debug_by_hand_are_allowed() {
        for source in [
            "#[derive(Debug)] struct A { token: DelegationToken, password: SecretString }",
            "#[derive(Clone)] struct A { password: String }",
            "#[derive(Debug)] struct Token(SecretString);",
            "#[derive(Debug)] struct ContinuationToken(Bytes);",
            "#[derive(Debug)] struct A { name: String, token_lifetime: Duration }",
            "#[derive(Debug)] struct A { continuation_token: Bytes }",
            "#[cfg(test)] mod tests { #[derive(Debug)] struct A { password: String } }",
        ] {
            assert_eq!(found(source), 0, "{source}");
        }
    }
}
