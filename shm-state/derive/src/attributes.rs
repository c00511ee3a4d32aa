//! Reads `#[layout(...)]` and `#[field(...)]`.

use crate::kind::{Kind, Shape};
use crate::values::{
    DefaultValue, Unit, counted_unit, default_value, narrow, own_name, positive, range, set, table_or_field_name,
    time_unit, word,
};
use proc_macro2::{Ident, Span};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Field, Path, Result, Type};

/// `#[layout(...)]` on the struct.
#[derive(Debug)]
pub(crate) struct LayoutAttribute {
    pub(crate) table: u32,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) secret: bool,
}

/// A field that the descriptor describes.
pub(crate) struct Described {
    pub(crate) id: u32,
    pub(crate) id_span: Span,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Type of one element, if it is an array.
    pub(crate) element: Option<Type>,
    pub(crate) unit: Option<Unit>,
    pub(crate) key: bool,
    pub(crate) narrow: Option<&'static str>,
    pub(crate) default: Option<DefaultValue>,
    pub(crate) compute: Option<String>,
    pub(crate) range: Option<(i128, i128)>,
    /// The enum whose cases it has.
    pub(crate) cases: Option<Path>,
}

/// What a field of the struct is.
pub(crate) enum Item {
    /// Padding.
    Skip,
    /// A field of the descriptor.
    Field(Box<Described>),
    /// A part with fields of its own.
    Nested {
        /// Added to their ids.
        base: u32,
        /// Put in front of their names.
        name: String,
    },
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

impl Item {
    /// Reads a field's attribute.
    pub(crate) fn parse(field: &Field, ident: &Ident) -> Result<Self> {
        let mut words = Words::default();
        let mut seen = false;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
            seen = true;
            attribute.parse_nested_meta(|meta| words.take(&meta))?;
        }
        let wrong = |why: String| Err(Error::new(ident.span(), format!("field `{ident}` {why}")));
        if !seen {
            return wrong("needs #[field(id = ...)], or #[field(skip)] if it is padding".into());
        }
        match (words.skip, words.nested.take()) {
            (true, nested) if nested.is_some() || words.has_more() || words.base.is_some() => {
                wrong("is skipped and can have nothing else".into())
            }
            (true, _) => Ok(Self::Skip),
            (false, None) if words.base.is_some() => wrong("has a base, and only nested records do".into()),
            (false, None) => words.describe(field, ident).map(|described| Self::Field(Box::new(described))),
            (false, Some(())) => {
                let name = words.name.take();
                if words.has_more() {
                    return wrong("is nested: only base and name are said here, all else in the inner record".into());
                }
                if matches!(field.ty, Type::Array(_)) {
                    return wrong(
                        "is an array of records; make each of them a nested field, with a base of its own".into(),
                    );
                }
                let Some((base, _)) = words.base else {
                    return wrong("is nested and needs base = ..., which is added to the inner ids".into());
                };
                Ok(Self::Nested { base, name: name.map_or_else(|| own_name(ident), Ok)? })
            }
        }
    }
}

/// The words of a field's attribute before they are held against each other.
#[derive(Default)]
struct Words {
    skip: bool,
    nested: Option<()>,
    base: Option<(u32, Span)>,
    id: Option<(u32, Span)>,
    name: Option<String>,
    kind: Option<(Kind, Span)>,
    unit: Option<(Unit, Span)>,
    key: Option<()>,
    narrow: Option<(&'static str, Span)>,
    default: Option<Expr>,
    compute: Option<(String, Span)>,
    range: Option<((i128, i128), Span)>,
    cases: Option<(Path, Span)>,
}

impl Words {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let word = word(meta);
        let span = meta.path.span();
        match word.as_str() {
            "skip" => self.skip = true,
            "nested" => set(&mut self.nested, (), meta)?,
            "base" => set(&mut self.base, (positive(meta)?, span), meta)?,
            "range" => set(&mut self.range, (range(meta)?, span), meta)?,
            "cases" => {
                let path: Path = meta.value()?.parse()?;
                set(&mut self.cases, (path, span), meta)?;
            }
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

    fn has_more(&self) -> bool {
        let Self { skip: _, nested: _, base: _, id, name, kind, unit, key, narrow, default, compute, range, cases } =
            self;
        id.is_some()
            || name.is_some()
            || kind.is_some()
            || unit.is_some()
            || key.is_some()
            || narrow.is_some()
            || default.is_some()
            || compute.is_some()
            || range.is_some()
            || cases.is_some()
    }

    fn describe(self, field: &Field, ident: &Ident) -> Result<Described> {
        let Self { skip: _, nested: _, base: _, id, name, kind, unit, key, narrow, default, compute, range, cases } =
            self;
        let (id, id_span) = id.ok_or_else(|| {
            Error::new(ident.span(), format!("field `{ident}` has no id; ids are stable and start at 1"))
        })?;
        let shape = Shape::of(&field.ty);
        let kind = match kind {
            Some((kind, _)) => kind,
            None if cases.is_some() => Kind::Enum,
            None if shape == Shape::Bool => Kind::Bool,
            None => Kind::of_shape(&shape).ok_or_else(|| {
                Error::new(field.ty.span(), format!("say what field `{ident}` is: unsigned, signed, bytes, ip, ..."))
            })?,
        };
        let element = shape.element_for(kind).then(|| element_type(&field.ty)).flatten();
        let shape = element.as_ref().map_or(shape, Shape::of);
        if let Some(why) = kind.mismatch(&shape) {
            return Err(Error::new(field.ty.span(), format!("field `{ident}`: {why}")));
        }
        if let (Some((_, span)), false) =
            (unit, matches!(kind, Kind::Unsigned | Kind::Signed | Kind::Instant | Kind::Duration))
        {
            return Err(Error::new(span, format!("field `{ident}`: only integers and times have a unit")));
        }
        if let (Some((_, span)), false) = (&cases, kind == Kind::Enum) {
            return Err(Error::new(*span, format!("field `{ident}`: only an enum has cases")));
        }
        if let (Some((_, span)), false) =
            (range, matches!(kind, Kind::Unsigned | Kind::Signed | Kind::Instant | Kind::Duration))
        {
            return Err(Error::new(span, format!("field `{ident}`: only integers and times have a range")));
        }
        // An unknown case can be replaced by the default, if it is known which cases there are.
        let replaces = kind == Kind::Enum && cases.is_some() && default.is_some();
        if let (Some(("Clamp", span)), Kind::Enum | Kind::SlotLink, false) = (narrow, kind, replaces) {
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
            element,
            unit: unit.map(|(unit, _)| unit),
            key: key.is_some(),
            narrow: narrow.map(|(policy, _)| policy),
            default: default.map(|default| default_value(&default, kind, ident)).transpose()?,
            compute: compute.map(|(name, _)| name),
            range: range.map(|(range, _)| range),
            cases: cases.map(|(path, _)| path),
        })
    }
}

fn element_type(ty: &Type) -> Option<Type> {
    match ty {
        Type::Array(array) => Some((*array.elem).clone()),
        _ => None,
    }
}
