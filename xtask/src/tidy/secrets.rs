//! No type shows a secret by a derived `Debug`.
//!
//! A field is secret by its name. It may have a type that hides its value, such as `SecretString`
//! or `DelegationToken`; a type with plain text or plain bytes in it writes `Debug` by hand.

use syn::{Attribute, Fields, GenericArgument, Item, PathArguments, Type};

use super::source::{SourceFile, is_test_only};

/// Parts of names that mean a secret.
const SECRET: &[&str] = &["secret", "password", "token", "credential", "authorization"];

/// Names that mean none, though a part of them does.
const EXEMPT: &[&str] = &["continuation_token"];

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
                let fields = secret_fields(&item.fields);
                shown.extend(fields.map(|field| format!("{}.{field}", item.ident)));
            }
            Item::Enum(item) if derives_debug(&item.attrs) => {
                for variant in &item.variants {
                    let fields = secret_fields(&variant.fields);
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

fn secret_fields(fields: &Fields) -> impl Iterator<Item = String> {
    fields.iter().filter_map(|field| {
        let name = field.ident.as_ref()?.to_string();
        let is_secret = SECRET.iter().any(|part| name.contains(part))
            && !EXEMPT.contains(&name.as_str())
            && is_plain(&field.ty);
        is_secret.then_some(name)
    })
}

/// Returns true if a type holds plain text or bytes, in whatever container.
fn is_plain(of: &Type) -> bool {
    match of {
        Type::Reference(inner) => is_plain(&inner.elem),
        Type::Array(inner) => is_plain(&inner.elem),
        Type::Slice(inner) => is_plain(&inner.elem),
        Type::Tuple(inner) => inner.elems.iter().any(is_plain),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let has_plain = match &last.arguments {
                PathArguments::AngleBracketed(list) => list.args.iter().any(
                    |argument| matches!(argument, GenericArgument::Type(inner) if is_plain(inner)),
                ),
                PathArguments::None | PathArguments::Parenthesized(_) => false,
            };
            has_plain || PLAIN.iter().any(|plain| last.ident == plain)
        }),
        _ => false,
    }
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
        ] {
            assert_eq!(found(source), 1, "{source}");
        }
    }

    #[test]
    fn a_secret_of_a_type_that_hides_it_and_a_debug_by_hand_are_allowed() {
        for source in [
            "#[derive(Debug)] struct A { token: DelegationToken, password: SecretString }",
            "#[derive(Clone)] struct A { password: String }",
            "#[derive(Debug)] struct A { name: String, token_lifetime: Duration }",
            "#[derive(Debug)] struct A { continuation_token: Bytes }",
            "#[cfg(test)] mod tests { #[derive(Debug)] struct A { password: String } }",
        ] {
            assert_eq!(found(source), 0, "{source}");
        }
    }
}
