//! `#[derive(Cases)]`: numbers and names of a fieldless enum.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Expr, Fields, Lit, LitStr, Result, Variant};

use crate::values::checked_name;

/// Expands the derive macro, or says what is wrong where.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "cases are those of an enum"));
    };
    let mut cases = data.variants.iter().map(case).collect::<Result<Vec<_>>>()?;
    if cases.is_empty() {
        return Err(Error::new(input.ident.span(), "an enum without variants has no cases"));
    }
    for (at, (_, name, variant)) in cases.iter().enumerate() {
        if cases[..at].iter().any(|(_, other, _)| other == name) {
            return Err(Error::new(variant.span(), format!("another case is named `{name}`")));
        }
    }
    cases.sort_by_key(|(number, ..)| *number);
    let number = cases.iter().map(|(number, ..)| number);
    let name = cases.iter().map(|(_, name, _)| name);
    let ident = &input.ident;
    let (params, types, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #params ::shm_state::descriptor::Cases for #ident #types #bounds {
            const CASES: &'static [::shm_state::descriptor::Case] =
                &[#(::shm_state::descriptor::Case::new(#number, #name)),*];
        }
    })
}

fn case(variant: &Variant) -> Result<(u32, String, &Variant)> {
    let wrong = |why: &str| Error::new(variant.span(), format!("case `{}` {why}", variant.ident));
    if !matches!(variant.fields, Fields::Unit) {
        return Err(wrong("has fields, and a record keeps nothing but its number"));
    }
    let Some((_, written)) = &variant.discriminant else {
        return Err(wrong("needs its number, written down: numbers are for ever"));
    };
    let number = match written {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse::<u32>().ok(),
            _ => None,
        },
        _ => None,
    };
    let number = number.ok_or_else(|| wrong("has a number that is not a literal from 0 to 4294967295"))?;
    let mut name = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("case")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("unknown case key; expected name"));
            }
            let literal: LitStr = meta.value()?.parse()?;
            name = Some(checked_name(literal.value(), literal.span())?);
            Ok(())
        })?;
    }
    let name = match name {
        Some(name) => name,
        None => checked_name(kebab(&format_ident!("{}", variant.ident).to_string()), variant.span())?,
    };
    Ok((number, name, variant))
}

/// `GoingDown` as `going-down`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
