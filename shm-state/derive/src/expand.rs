//! Writes the implementation.

use crate::attributes::{Described, Item, LayoutAttribute};
use crate::kind::Kind;
use crate::values::DefaultValue;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Result};

/// Expands `Layout`, or says what is wrong where.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_shape(input)?;
    let LayoutAttribute { table, name, version, secret } = LayoutAttribute::parse(&input.attrs, input.ident.span())?;
    let record = &input.ident;
    let parts = record_impl(input)?;
    let size_check = quote_spanned! { record.span() =>
        const _: () = ::core::assert!(
            ::core::mem::size_of::<#record>().is_multiple_of(8),
            "layout: record length is not a multiple of 8; add a #[field(skip)] pad",
        );
    };
    let specs = quote!(<#record as ::shm_state::descriptor::Record>::SPECS);
    let wire = quote! {
        ::shm_state::descriptor::ConstDescriptor<{ #specs.len() }, { ::shm_state::descriptor::facts_len(#specs) }>
    };
    Ok(quote! {
        #size_check
        #parts

        #[automatically_derived]
        impl ::shm_state::descriptor::Layout for #record {
            type Wire = #wire;
            const TABLE: u32 = #table;
            const VERSION: u32 = #version;
            const NAME: &'static str = #name;
            const SECRET: bool = #secret;
            const WIRE: Self::Wire = ::shm_state::descriptor::ConstDescriptor::of(
                #table,
                #version,
                #name,
                ::core::mem::size_of::<#record>(),
                #specs,
            );

            fn descriptor_bytes() -> &'static [u8] {
                static WIRE: #wire = <#record as ::shm_state::descriptor::Layout>::WIRE;
                ::shm_state::descriptor::wire_bytes(&WIRE)
            }
        }

        // Evaluates the constant here, so that a broken rule fails where the record is declared.
        const _: () = {
            let _ = <#record as ::shm_state::descriptor::Layout>::WIRE;
        };
    })
}

/// Expands `Record`, or says what is wrong where.
pub(crate) fn expand_record(input: &DeriveInput) -> Result<TokenStream> {
    refuse_shape(input)?;
    let record = &input.ident;
    let parts = record_impl(input)?;
    Ok(quote! {
        #parts

        // As for a layout.
        const _: () = ::shm_state::descriptor::assert_rules(
            <#record as ::shm_state::descriptor::Record>::SPECS,
            ::core::mem::size_of::<#record>(),
        );
    })
}

/// Describes the fields, for either macro.
fn record_impl(input: &DeriveInput) -> Result<TokenStream> {
    let (mut described, mut pieces) = (Vec::new(), Vec::new());
    let mut problems: Option<Error> = None;
    let record = &input.ident;
    for field in record_fields(input)? {
        let ident = field.ident.as_ref().expect("named fields have names");
        match Item::parse(field, ident) {
            Ok(Item::Skip) => {}
            Ok(Item::Nested { base, name }) => pieces.push(nested(record, field, ident, base, &name)),
            Ok(Item::Field(description)) => {
                pieces.push(spec(record, field, ident, &description));
                described.push((field, ident, *description));
            }
            Err(error) => match &mut problems {
                Some(problems) => problems.combine(error),
                none => *none = Some(error),
            },
        }
    }
    problems.map_or(Ok(()), Err)?;
    refuse_duplicates(&described)?;
    if pieces.is_empty() {
        return Err(Error::new(record.span(), "a layout needs at least one field with an id"));
    }
    let width_checks = described.iter().map(|(field, ident, description)| width_check(field, ident, description));
    Ok(quote! {
        #(#width_checks)*

        #[automatically_derived]
        impl ::shm_state::descriptor::Record for #record {
            const SPECS: &'static [::shm_state::descriptor::FieldSpec<'static>] = {
                const PIECES: &[::shm_state::descriptor::Piece] = &[#(#pieces),*];
                const ALL: [::shm_state::descriptor::FieldSpec<'static>; ::shm_state::descriptor::count(PIECES)] =
                    ::shm_state::descriptor::flatten(PIECES);
                &ALL
            };
        }
    })
}

fn refuse_shape(input: &DeriveInput) -> Result<()> {
    record_fields(input).map(drop)
}

fn record_fields(input: &DeriveInput) -> Result<impl Iterator<Item = &Field>> {
    let wrong = |text: &str| Err(Error::new(input.ident.span(), text));
    if !input.generics.params.is_empty() {
        return wrong("a layout is one fixed set of bytes: the struct can have no type parameters");
    }
    let Data::Struct(data) = &input.data else {
        return wrong("a layout is a struct with named fields");
    };
    let Fields::Named(fields) = &data.fields else {
        return wrong("a layout is a struct with named fields");
    };
    if !input.attrs.iter().any(is_repr_c) {
        return wrong("a layout needs #[repr(C)], so that its fields stay where they are");
    }
    Ok(fields.named.iter())
}

fn is_repr_c(attribute: &Attribute) -> bool {
    let mut found = false;
    if attribute.path().is_ident("repr") {
        // Other words of `repr` may have arguments that do not matter here; the compiler checks them.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident("C");
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            Ok(())
        });
    }
    found
}

fn refuse_duplicates(described: &[(&Field, &Ident, Described)]) -> Result<()> {
    let mut ids = HashMap::new();
    let mut names = HashMap::new();
    for (_, ident, description) in described {
        if let Some(other) = ids.insert(description.id, *ident) {
            let id = description.id;
            return Err(Error::new(description.id_span, format!("id {id} belongs to field `{other}` already")));
        }
        if let Some(other) = names.insert(&description.name, *ident) {
            let name = &description.name;
            return Err(Error::new(ident.span(), format!("name `{name}` belongs to field `{other}` already")));
        }
    }
    Ok(())
}

fn nested(record: &Ident, field: &Field, ident: &Ident, base: u32, name: &str) -> TokenStream {
    let ty = &field.ty;
    quote_spanned! { ty.span() =>
        ::shm_state::descriptor::Piece::Nested {
            offset: ::core::mem::offset_of!(#record, #ident),
            base: #base,
            name: #name,
            specs: <#ty as ::shm_state::descriptor::Record>::SPECS,
        }
    }
}

fn spec(record: &Ident, field: &Field, ident: &Ident, description: &Described) -> TokenStream {
    let Described { id, id_span: _, name, kind, element, unit, key, narrow, default, compute, range, cases } =
        description;
    let ty = element.as_ref().unwrap_or(&field.ty);
    let whole = &field.ty;
    let kind_ident = variant(*kind);
    let unit = unit.map(|unit| format_ident!("{unit}")).map(|unit| quote!(.unit(::shm_state::descriptor::Unit::#unit)));
    let narrow = narrow
        .map(|policy| format_ident!("{policy}"))
        .map(|policy| quote!(.narrow(::shm_state::descriptor::Narrow::#policy)));
    let key = key.then(|| quote!(.key()));
    let default = default.as_ref().map(|default| match default {
        DefaultValue::Number(number) => {
            let number = Literal::i128_suffixed(*number);
            quote!(.default_number(#number))
        }
        DefaultValue::Bytes(bytes) => {
            let bytes = Literal::byte_string(bytes);
            quote!(.default_bytes(#bytes))
        }
    });
    let compute = compute.as_ref().map(|function| quote!(.compute(#function)));
    let array =
        element.is_some().then(|| quote!(.array(::core::mem::size_of::<#whole>() / ::core::mem::size_of::<#ty>())));
    let range = range.map(|(min, max)| {
        let (min, max) = (Literal::i128_suffixed(min), Literal::i128_suffixed(max));
        quote!(.range(#min, #max))
    });
    let cases = cases.as_ref().map(|path| quote!(.cases(<#path as ::shm_state::descriptor::Cases>::CASES)));
    quote_spanned! { field.ty.span() =>
        ::shm_state::descriptor::Piece::Field(
            ::shm_state::descriptor::FieldSpec::new(
                ::shm_state::descriptor::FieldDesc::new(
                    #id,
                    #name,
                    ::shm_state::descriptor::FieldType::#kind_ident,
                    ::core::mem::offset_of!(#record, #ident),
                    ::core::mem::size_of::<#ty>(),
                )
                #unit #narrow #key #default #compute
            )
            #array #range #cases
        )
    }
}

/// Has the compiler say at the field that its type has the wrong width.
fn width_check(field: &Field, ident: &Ident, Described { kind, element, .. }: &Described) -> TokenStream {
    let ty = element.as_ref().unwrap_or(&field.ty);
    let kind_ident = variant(*kind);
    let message = format!("layout: field `{ident}` cannot be {kind:?} with a type of this width");
    quote_spanned! { field.ty.span() =>
        const _: () = ::core::assert!(
            ::shm_state::descriptor::FieldType::#kind_ident.allows_len(::core::mem::size_of::<#ty>()),
            #message,
        );
    }
}

fn variant(kind: Kind) -> Ident {
    format_ident!("{kind:?}")
}
