//! What a first visit has to fetch, in compressed bytes. `docs/performance.md` has the figures.

use std::collections::BTreeMap;

use crate::{access::browser::Browser, support::app::TestApp};

/// Bytes of JavaScript that the first page may have a browser fetch.
const SCRIPTS: usize = 40_000;

/// Bytes of the stylesheet.
const STYLES: usize = 20_000;

/// The addresses that stand in `text` between `before` and the next quote.
fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

/// Every script that the page asks for and whatever those import, at once or later, with its size on the wire.
async fn scripts(browser: &Browser, page: &str) -> BTreeMap<String, usize> {
    let mut waiting: Vec<String> =
        named(page, r#" src=""#).filter(|at| at.ends_with(".js")).map(str::to_owned).collect();
    let mut found = BTreeMap::new();
    while let Some(address) = waiting.pop() {
        if found.contains_key(&address) {
            continue;
        }
        let plain = browser.get(&address).await;
        assert_eq!(plain.status, 200, "{address}");
        let text = plain.text();
        let folder = address.rsplit_once('/').unwrap().0;
        for before in [r#" from "./"#, r#"import "./"#, r#"import("./"#] {
            waiting.extend(named(&text, before).map(|name| format!("{folder}/{name}")));
        }
        found.insert(address.clone(), packed(browser, &address).await);
    }
    found
}

async fn packed(browser: &Browser, address: &str) -> usize {
    let seen = browser.get_packed(address).await;
    assert_eq!(seen.headers.get("content-encoding").map(|value| value.as_bytes()), Some(&b"gzip"[..]), "{address}");
    seen.body.len()
}

#[tokio::test]
async fn the_first_page_is_light() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let studio = owner.get("/studio").await.text();
    let scripts = scripts(&owner, &studio).await;
    assert!(scripts.len() > 5, "the walk found the modules: {scripts:?}");
    let sum: usize = scripts.values().sum();
    assert!(sum <= SCRIPTS, "{sum} bytes: {scripts:#?}");

    let sheet = named(&studio, r#" href=""#).find(|at| at.ends_with(".css")).expect("a stylesheet").to_owned();
    let styles = packed(&owner, &sheet).await;
    assert!(styles <= STYLES, "{styles} bytes");
    eprintln!("Studio: {sum} bytes of JavaScript in {} files, {styles} bytes of CSS", scripts.len());
}
