//! Reads `#[layout(...)]` and `#[field(...)]`.

use crate::kind::{Kind, Shape};
use proc_macro2::{Ident, Span};
use std::net::IpAddr;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprUnary, Field, LitByteStr, LitInt, LitStr, Result, UnOp};

/// Longest name in the wire form.
const NAME_LEN: usize = 32;

/// `#[layout(...)]` on the struct.
#[derive(Debug)]
pub(crate) struct LayoutAttribute {
    pub(crate) table: u32,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) secret: bool,
}

/// A field that the descriptor describes.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) id: u32,
    pub(crate) id_span: Span,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<Unit>,
    pub(crate) key: bool,
    pub(crate) narrow: Option<&'static str>,
    pub(crate) default: Option<DefaultValue>,
    pub(crate) compute: Option<String>,
}

/// Name of a variant of `shm_state::descriptor::Unit`.
pub(crate) type Unit = &'static str;

/// A default as it was written.
#[derive(Debug)]
pub(crate) enum DefaultValue {
    Number(i128),
    Bytes(Vec<u8>),
}

impl LayoutAttribute {
    pub(crate) fn parse(attributes: &[Attribute], span: Span) -> Result<Self> {
        let (mut table, mut name, mut version, mut secret) = (None, None, None, None);
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("layout")) {
            attribute.parse_nested_meta(|meta| match word(&meta).as_str() {
                "table" => set(&mut table, positive(&meta)?, &meta),
                "name" => set(&mut name, table_or_field_name(&meta)?, &meta),
                "version" => set(&mut version, positive(&meta)?, &meta),
                "secret" => set(&mut secret, (), &meta),
                other => {
                    Err(meta.error(format!("unknown layout key `{other}`; expected table, name, version or secret")))
                }
            })?;
        }
        let missing = |key: &str| {
            Error::new(span, format!("missing `{key}` in #[layout(table = 1, name = \"flows\", version = 1)]"))
        };
        Ok(Self {
            table: table.ok_or_else(|| missing("table"))?,
            name: name.ok_or_else(|| missing("name"))?,
            version: version.ok_or_else(|| missing("version"))?,
            secret: secret.is_some(),
        })
    }
}

impl Described {
    /// Reads a field's attribute; nothing for `skip`.
    pub(crate) fn parse(field: &Field, ident: &Ident) -> Result<Option<Self>> {
        let mut words = Words::default();
        let mut seen = false;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
            seen = true;
            attribute.parse_nested_meta(|meta| words.take(&meta))?;
        }
        if !seen {
            return Err(Error::new(
                ident.span(),
                format!("field `{ident}` needs #[field(id = ...)], or #[field(skip)] if it is padding"),
            ));
        }
        if words.skip {
            return if words.is_only_skip() {
                Ok(None)
            } else {
                Err(Error::new(ident.span(), format!("field `{ident}` is skipped and can have nothing else")))
            };
        }
        words.describe(field, ident).map(Some)
    }
}

/// The words of a field's attribute before they are held against each other.
#[derive(Default)]
struct Words {
    skip: bool,
    id: Option<(u32, Span)>,
    name: Option<String>,
    kind: Option<(Kind, Span)>,
    unit: Option<(Unit, Span)>,
    key: Option<()>,
    narrow: Option<(&'static str, Span)>,
    default: Option<Expr>,
    compute: Option<(String, Span)>,
}

impl Words {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let word = word(meta);
        let span = meta.path.span();
        match word.as_str() {
            "skip" => self.skip = true,
            "key" => set(&mut self.key, (), meta)?,
            "id" => set(&mut self.id, (positive(meta)?, span), meta)?,
            "name" => set(&mut self.name, table_or_field_name(meta)?, meta)?,
            "unit" => set(&mut self.unit, (counted_unit(meta)?, span), meta)?,
            "narrow" => set(&mut self.narrow, (narrow(meta)?, span), meta)?,
            "default" => set(&mut self.default, meta.value()?.parse()?, meta)?,
            "compute" => set(&mut self.compute, (table_or_field_name(meta)?, span), meta)?,
            _ => {
                let kind = Kind::from_word(&word).ok_or_else(|| meta.error(format!("unknown field key `{word}`")))?;
                if let Some((before, _)) = self.kind {
                    return Err(meta.error(format!("a field has one type; this one is {before:?} already")));
                }
                self.kind = Some((kind, span));
                if matches!(kind, Kind::Instant | Kind::Duration) {
                    set(&mut self.unit, (time_unit(meta)?, span), meta)?;
                }
            }
        }
        Ok(())
    }

    fn is_only_skip(&self) -> bool {
        let Self { skip: _, id, name, kind, unit, key, narrow, default, compute } = self;
        id.is_none()
            && name.is_none()
            && kind.is_none()
            && unit.is_none()
            && key.is_none()
            && narrow.is_none()
            && default.is_none()
            && compute.is_none()
    }

    fn describe(self, field: &Field, ident: &Ident) -> Result<Described> {
        let Self { skip: _, id, name, kind, unit, key, narrow, default, compute } = self;
        let (id, id_span) = id.ok_or_else(|| {
            Error::new(ident.span(), format!("field `{ident}` has no id; ids are stable and start at 1"))
        })?;
        let shape = Shape::of(&field.ty);
        let kind = match kind {
            Some((kind, _)) => kind,
            None if shape == Shape::Bool => Kind::Bool,
            None => Kind::of_shape(&shape).ok_or_else(|| {
                Error::new(field.ty.span(), format!("say what field `{ident}` is: unsigned, signed, bytes, ip, ..."))
            })?,
        };
        if let Some(why) = kind.mismatch(&shape) {
            return Err(Error::new(field.ty.span(), format!("field `{ident}`: {why}")));
        }
        if let (Some((_, span)), false) =
            (unit, matches!(kind, Kind::Unsigned | Kind::Signed | Kind::Instant | Kind::Duration))
        {
            return Err(Error::new(span, format!("field `{ident}`: only integers and times have a unit")));
        }
        if let (Some(("Clamp", span)), Kind::Enum | Kind::SlotLink) = (narrow, kind) {
            let why = "the nearest number would be another case or slot; use refuse or drop";
            return Err(Error::new(span, format!("field `{ident}`: {why}")));
        }
        if let (Some((policy, span)), Kind::Bool | Kind::Ip | Kind::Port) = (narrow, kind)
            && policy != "Refuse"
        {
            return Err(Error::new(span, format!("field `{ident}`: a value of this type always fits")));
        }
        if let (Some(_), Some((_, span))) = (&default, &compute) {
            return Err(Error::new(*span, format!("field `{ident}` can be computed or have a default, not both")));
        }
        Ok(Described {
            id,
            id_span,
            name: name.map_or_else(|| own_name(ident), Ok)?,
            kind,
            unit: unit.map(|(unit, _)| unit),
            key: key.is_some(),
            narrow: narrow.map(|(policy, _)| policy),
            default: default.map(|default| default_value(&default, kind, ident)).transpose()?,
            compute: compute.map(|(name, _)| name),
        })
    }
}

fn default_value(written: &Expr, kind: Kind, ident: &Ident) -> Result<DefaultValue> {
    let wrong = |want: &str| Error::new(written.span(), format!("the default of field `{ident}` must be {want}"));
    match kind {
        Kind::Bytes => bytes(written).map(DefaultValue::Bytes).ok_or_else(|| wrong("a byte string, b\"...\"")),
        Kind::Ip => address(written).map(DefaultValue::Bytes).ok_or_else(|| wrong("an IP address as text")),
        Kind::Bool => boolean(written).map(DefaultValue::Number).ok_or_else(|| wrong("true or false")),
        _ => number(written).map(DefaultValue::Number).ok_or_else(|| wrong("a number")),
    }
}

fn number(written: &Expr) -> Option<i128> {
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

fn word(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(Ident::to_string).unwrap_or_default()
}

fn set<T>(slot: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error(format!("`{}` is said twice", word(meta)))),
    }
}

fn positive(meta: &ParseNestedMeta<'_>) -> Result<u32> {
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(Error::new(literal.span(), format!("`{}` is a number from 1 to {}", word(meta), u32::MAX))),
    }
}

fn own_name(ident: &Ident) -> Result<String> {
    let text = ident.to_string();
    checked_name(text.strip_prefix("r#").unwrap_or(&text).to_owned(), ident.span())
}

fn table_or_field_name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    checked_name(literal.value(), literal.span())
}

fn checked_name(name: String, span: Span) -> Result<String> {
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

fn time_unit(meta: &ParseNestedMeta<'_>) -> Result<Unit> {
    choice(meta, &[("ns", "Ns"), ("us", "Us"), ("ms", "Ms"), ("s", "S")])
}

fn counted_unit(meta: &ParseNestedMeta<'_>) -> Result<Unit> {
    choice(meta, &[("none", "None"), ("bytes", "Bytes"), ("packets", "Packets")])
}

fn narrow(meta: &ParseNestedMeta<'_>) -> Result<&'static str> {
    choice(meta, &[("refuse", "Refuse"), ("clamp", "Clamp"), ("drop", "Drop")])
}
