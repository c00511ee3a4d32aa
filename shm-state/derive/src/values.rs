//! Reads what stands behind the `=` of an attribute's word.

use crate::kind::Kind;
use proc_macro2::{Ident, Span};
use std::net::IpAddr;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprRange, ExprUnary, LitByteStr, LitInt, LitStr, RangeLimits, Result, UnOp};

/// Longest name in the wire form.
const NAME_LEN: usize = 32;

/// Name of a variant of `shm_state::descriptor::Unit`.
pub(crate) type Unit = &'static str;

/// A default as it was written.
#[derive(Debug)]
pub(crate) enum DefaultValue {
    Number(i128),
    Bytes(Vec<u8>),
}

pub(crate) fn default_value(written: &Expr, kind: Kind, ident: &Ident) -> Result<DefaultValue> {
    let wrong = |want: &str| Error::new(written.span(), format!("the default of field `{ident}` must be {want}"));
    match kind {
        Kind::Bytes => bytes(written).map(DefaultValue::Bytes).ok_or_else(|| wrong("a byte string, b\"...\"")),
        Kind::Ip => address(written).map(DefaultValue::Bytes).ok_or_else(|| wrong("an IP address as text")),
        Kind::Bool => boolean(written).map(DefaultValue::Number).ok_or_else(|| wrong("true or false")),
        _ => number(written).map(DefaultValue::Number).ok_or_else(|| wrong("a number")),
    }
}

pub(crate) fn number(written: &Expr) -> Option<i128> {
    match written {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => number(expr).map(|number| -number),
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Int(int) => int.base10_parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn boolean(written: &Expr) -> Option<i128> {
    match written {
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Bool(value) => Some(value.value.into()),
            _ => None,
        },
        _ => None,
    }
}

fn bytes(written: &Expr) -> Option<Vec<u8>> {
    syn::parse2::<LitByteStr>(quote::quote!(#written)).ok().map(|literal| literal.value())
}

fn address(written: &Expr) -> Option<Vec<u8>> {
    let text = syn::parse2::<LitStr>(quote::quote!(#written)).ok()?.value();
    Some(match text.parse().ok()? {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    })
}

/// Lowest and highest number of `1..=64`: both ends are said.
pub(crate) fn range(meta: &ParseNestedMeta<'_>) -> Result<(i128, i128)> {
    let written: Expr = meta.value()?.parse()?;
    let ends = match &written {
        Expr::Range(ExprRange { start: Some(start), limits: RangeLimits::Closed(_), end: Some(end), .. }) => {
            number(start).zip(number(end))
        }
        _ => None,
    };
    ends.filter(|(min, max)| min <= max).ok_or_else(|| {
        Error::new(written.span(), "`range` is from the lowest to the highest valid number, both included: 1..=64")
    })
}

pub(crate) fn word(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(Ident::to_string).unwrap_or_default()
}

pub(crate) fn set<T>(slot: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error(format!("`{}` is said twice", word(meta)))),
    }
}

pub(crate) fn positive(meta: &ParseNestedMeta<'_>) -> Result<u32> {
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(Error::new(literal.span(), format!("`{}` is a number from 1 to {}", word(meta), u32::MAX))),
    }
}

pub(crate) fn own_name(ident: &Ident) -> Result<String> {
    let text = ident.to_string();
    checked_name(text.strip_prefix("r#").unwrap_or(&text).to_owned(), ident.span())
}

pub(crate) fn table_or_field_name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    checked_name(literal.value(), literal.span())
}

pub(crate) fn checked_name(name: String, span: Span) -> Result<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_LEN || !name.chars().all(legal) {
        let rule = "1 to 32 letters, digits, '_', '-' and '.'";
        return Err(Error::new(span, format!("`{name}` is not a name that can be stored: {rule}")));
    }
    Ok(name)
}

fn choice(meta: &ParseNestedMeta<'_>, choices: &[(&str, &'static str)]) -> Result<&'static str> {
    let listed = || choices.iter().map(|(text, _)| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
    let wrong = |span| Error::new(span, format!("`{}` takes one of {}", word(meta), listed()));
    let literal: LitStr = meta.value().and_then(|value| value.parse()).map_err(|_| wrong(meta.path.span()))?;
    let found = choices.iter().find(|(text, _)| *text == literal.value());
    found.map(|(_, variant)| *variant).ok_or_else(|| wrong(literal.span()))
}

pub(crate) fn time_unit(meta: &ParseNestedMeta<'_>) -> Result<Unit> {
    choice(meta, &[("ns", "Ns"), ("us", "Us"), ("ms", "Ms"), ("s", "S")])
}

pub(crate) fn counted_unit(meta: &ParseNestedMeta<'_>) -> Result<Unit> {
    choice(meta, &[("none", "None"), ("bytes", "Bytes"), ("packets", "Packets")])
}

pub(crate) fn narrow(meta: &ParseNestedMeta<'_>) -> Result<&'static str> {
    choice(meta, &[("refuse", "Refuse"), ("clamp", "Clamp"), ("drop", "Drop")])
}
