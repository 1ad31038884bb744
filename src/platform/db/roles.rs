//! Two roles: one owns the tables and migrates, the other serves and has the rights that serving takes.
//!
//! What the application may do with a table is said beside the table, in its comment: `application: select, insert`.
//! A table without one may be read and changed as usual. So whoever takes over the application cannot rewrite what
//! happened or what was paid.

use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Text},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::migrate::{LOCK, MigrateError};
use crate::platform::crash;

/// Takes everything away and gives what is right, so that a right which somebody added by hand does not stay.
const GRANT: &str = r"
do $$
declare
    application text := current_setting('renderkeep.application');
    one record;
begin
    execute format('grant usage on schema public to %I', application);
    for one in
        select oid::regclass as name, coalesce(substring(obj_description(oid, 'pg_class') from '^application: (.*)$'),
                case relname when '__diesel_schema_migrations' then 'select' else 'select, insert, update, delete' end) as rights
        from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('revoke all on %s from %I', one.name, application);
        execute format('grant %s on %s to %I', one.rights, one.name, application);
    end loop;
    for one in select oid::regprocedure as name from pg_proc
        where pronamespace = 'public'::regnamespace and prosecdef and prorettype <> 'trigger'::regtype
    loop
        execute format('grant execute on function %s to %I', one.name, application);
    end loop;
end $$";

/// Gives the role that `application` signs in as its rights. `owner` owns the tables.
pub async fn grant(owner: &str, application: &str) -> Result<(), MigrateError> {
    let role = name(application).await?;
    let mut conn = AsyncPgConnection::establish(owner).await?;
    diesel::sql_query("select pg_advisory_lock($1)")
        .bind::<diesel::sql_types::BigInt, _>(LOCK)
        .execute(&mut conn)
        .await?;
    let setting = diesel::sql_query("select set_config('renderkeep.application', $1, false)");
    setting.bind::<Text, _>(&role).execute(&mut conn).await?;
    conn.batch_execute(GRANT).await?;
    crash::point("migrate.granted");
    Ok(())
}

/// Makes roles that sign in without a password, for a cluster whose socket only its own user can open.
pub async fn ensure(server: &str, names: &[&'static str]) -> Result<(), MigrateError> {
    let mut conn = AsyncPgConnection::establish(server).await?;
    for name in names {
        let known = diesel::sql_query("select 1 from pg_roles where rolname = $1").bind::<Text, _>(*name);
        if known.execute(&mut conn).await? == 0 {
            conn.batch_execute(&format!("create role {name} login")).await?;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    role: String,
}

async fn name(url: &str) -> Result<String, MigrateError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let found: Name = diesel::sql_query("select current_user::text as role").get_result(&mut conn).await?;
    Ok(found.role)
}

#[derive(QueryableByName)]
struct Rights {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Bool)]
    superuser: bool,
    #[diesel(sql_type = Array<Text>)]
    tables: Vec<String>,
}

/// What the role of `url` can do to what must only grow. None: nothing, as it should be.
pub async fn excess(url: &str) -> Result<Option<String>, MigrateError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let query = diesel::sql_query(
        "select current_user::text as role, (select rolsuper from pg_roles where rolname = current_user) as superuser,
            coalesce((select array_agg(relname::text order by relname) from pg_class
                where relnamespace = 'public'::regnamespace and obj_description(oid, 'pg_class') like 'application: %'
                    and has_table_privilege(oid, 'update, delete, truncate, trigger')), '{}') as tables",
    );
    let rights: Rights = query.get_result(&mut conn).await?;
    let role = rights.role;
    Ok(if rights.superuser {
        Some(format!("The server works as the role {role}, which is a superuser and may rewrite the audit log."))
    } else if rights.tables.is_empty() {
        None
    } else {
        let tables = rights.tables.join(", ");
        Some(format!("The server works as the role {role}, which may change what must only grow: {tables}."))
    })
}
