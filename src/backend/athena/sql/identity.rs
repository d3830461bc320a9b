//! An identity as a condition on the table's rows: every row that [`Identity::matches`] admits, and
//! few others.
//!
//! The columns that `matches` reads are needed, one and all: without one of them the events could
//! be neither found nor recognised, so a table that lacks it is refused.

use super::columns::{Columns, MissingColumn};
use super::tree::{Expr, Pattern};
use crate::query::identity::{ArnPrincipal, IdentityArn};
use crate::query::{Identity, RoleName, SessionName};

const KIND: &str = "useridentity.type";
const ARN: &str = "useridentity.arn";
const PRINCIPAL_ID: &str = "useridentity.principalid";
const ISSUER_KIND: &str = "useridentity.sessioncontext.sessionissuer.type";
const ISSUER_NAME: &str = "useridentity.sessioncontext.sessionissuer.username";
const ISSUER_ARN: &str = "useridentity.sessioncontext.sessionissuer.arn";

/// The rows that may be of this identity.
pub(super) fn condition(identity: &Identity, columns: Columns<'_>) -> Result<Expr, MissingColumn> {
    match identity {
        Identity::UserName(name) => Ok(Expr::All(vec![
            is_kind(columns, "IAMUser")?,
            columns
                .text("useridentity.username")?
                .equals(Expr::text(name.as_str())),
        ])),
        Identity::SessionName(name) => session(columns, name),
        Identity::RoleSession {
            role_name,
            session_name,
        } => Ok(Expr::All(vec![
            session(columns, session_name)?,
            role(columns, role_name)?,
        ])),
        Identity::RoleName(name) => role(columns, name),
        Identity::AccessKeyId(key) => Ok(columns
            .text("useridentity.accesskeyid")?
            .equals(Expr::text(key.as_str()))),
        Identity::Root => is_kind(columns, "Root"),
        Identity::Arn(arn) => of_arn(columns, arn),
    }
}

fn of_arn(columns: Columns<'_>, arn: &IdentityArn) -> Result<Expr, MissingColumn> {
    let written = || Expr::text(arn.to_string());
    match &arn.principal {
        ArnPrincipal::User { .. } => Ok(Expr::All(vec![
            is_kind(columns, "IAMUser")?,
            columns.text(ARN)?.equals(written()),
        ])),
        ArnPrincipal::Role { name, .. } => {
            let account = format!(":{}:assumed-role/{name}/", arn.account);
            let start = format!("arn:{}:sts:", arn.partition);
            Ok(Expr::Any(vec![
                columns.text(ISSUER_ARN)?.equals(written()),
                without(columns, ISSUER_ARN, &[&start, &account])?,
            ]))
        }
        ArnPrincipal::AssumedRole { .. } => Ok(columns.text(ARN)?.equals(written())),
        ArnPrincipal::Root => Ok(Expr::All(vec![
            is_kind(columns, "Root")?,
            columns
                .text("useridentity.accountid")?
                .equals(Expr::text(arn.account.to_string())),
        ])),
    }
}

fn is_kind(columns: Columns<'_>, kind: &str) -> Result<Expr, MissingColumn> {
    Ok(columns.text(KIND)?.equals(Expr::text(kind)))
}

fn session(columns: Columns<'_>, name: &SessionName) -> Result<Expr, MissingColumn> {
    let ends = vec![Pattern::Anything, Pattern::Text(format!(":{name}"))];
    Ok(Expr::All(vec![
        is_kind(columns, "AssumedRole")?,
        columns.text(PRINCIPAL_ID)?.like(ends),
    ]))
}

fn role(columns: Columns<'_>, name: &RoleName) -> Result<Expr, MissingColumn> {
    let issued_by_a_role = Expr::Any(vec![
        columns.text(ISSUER_KIND)?.equals(Expr::text("Role")),
        columns.text(ISSUER_KIND)?.null(),
    ]);
    Ok(Expr::Any(vec![
        Expr::All(vec![
            columns.text(ISSUER_NAME)?.equals(Expr::text(name.as_str())),
            issued_by_a_role,
        ]),
        without(
            columns,
            ISSUER_NAME,
            &["arn:", ":sts:", &format!(":assumed-role/{name}/")],
        )?,
    ]))
}

/// Sessions whose issuer does not say what `issuer_column` holds: only their own ARN tells the role.
fn without(
    columns: Columns<'_>,
    issuer_column: &str,
    arn_parts: &[&str],
) -> Result<Expr, MissingColumn> {
    let pattern = arn_parts
        .iter()
        .flat_map(|part| [Pattern::Text((*part).to_owned()), Pattern::Anything]);
    Ok(Expr::All(vec![
        columns.text(issuer_column)?.null(),
        is_kind(columns, "AssumedRole")?,
        columns.text(ARN)?.like(pattern.collect()),
    ]))
}
