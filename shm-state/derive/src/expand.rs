//! Writes the implementation.

use crate::attributes::{DefaultValue, Described, LayoutAttribute};
use crate::kind::Kind;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Result};

/// Expands the derive macro, or says what is wrong where.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let fields = record_fields(input)?;
    let LayoutAttribute { table, name, version, secret } = LayoutAttribute::parse(&input.attrs, input.ident.span())?;
    let mut described = Vec::new();
    let mut problems: Option<Error> = None;
    for field in fields {
        let ident = field.ident.as_ref().expect("named fields have names");
        match Described::parse(field, ident) {
            Ok(Some(description)) => described.push((field, ident, description)),
            Ok(None) => {}
            Err(error) => match &mut problems {
                Some(problems) => problems.combine(error),
                none => *none = Some(error),
            },
        }
    }
    problems.map_or(Ok(()), Err)?;
    refuse_duplicates(&described)?;
    if described.is_empty() {
        return Err(Error::new(input.ident.span(), "a layout needs at least one field with an id"));
    }

    let record = &input.ident;
    let count = described.len();
    let entries = described.iter().map(|(field, ident, description)| entry(record, field, ident, description));
    let width_checks = described.iter().map(|(field, ident, description)| width_check(field, ident, description.kind));
    let size_check = quote_spanned! { record.span() =>
        const _: () = ::core::assert!(
            ::core::mem::size_of::<#record>().is_multiple_of(8),
            "layout: record length is not a multiple of 8; add a #[field(skip)] pad",
        );
    };
    Ok(quote! {
        #size_check
        #(#width_checks)*

        #[automatically_derived]
        impl ::shm_state::descriptor::Layout for #record {
            type Wire = ::shm_state::descriptor::ConstDescriptor<#count>;
            const TABLE: u32 = #table;
            const VERSION: u32 = #version;
            const NAME: &'static str = #name;
            const SECRET: bool = #secret;
            const WIRE: Self::Wire = ::shm_state::descriptor::ConstDescriptor::new(
                #table,
                #version,
                #name,
                ::core::mem::size_of::<#record>(),
                [#(#entries),*],
            );

            fn descriptor_bytes() -> &'static [u8] {
                static WIRE: ::shm_state::descriptor::ConstDescriptor<#count> =
                    <#record as ::shm_state::descriptor::Layout>::WIRE;
                ::shm_state::descriptor::wire_bytes(&WIRE)
            }
        }

        // Evaluates the constant here, so that a broken rule fails where the record is declared.
        const _: () = {
            let _ = <#record as ::shm_state::descriptor::Layout>::WIRE;
        };
    })
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

fn entry(record: &Ident, field: &Field, ident: &Ident, description: &Described) -> TokenStream {
    let Described { id, id_span: _, name, kind, unit, key, narrow, default, compute } = description;
    let ty = &field.ty;
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
    quote_spanned! { field.ty.span() =>
        ::shm_state::descriptor::FieldDesc::new(
            #id,
            #name,
            ::shm_state::descriptor::FieldType::#kind_ident,
            ::core::mem::offset_of!(#record, #ident),
            ::core::mem::size_of::<#ty>(),
        )
        #unit #narrow #key #default #compute
    }
}

/// Has the compiler say at the field that its type has the wrong width.
fn width_check(field: &Field, ident: &Ident, kind: Kind) -> TokenStream {
    let ty = &field.ty;
    let kind_ident = variant(kind);
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
