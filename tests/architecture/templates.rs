//! Templates hold no script, no style and no unescaped text: the content security policy allows none of them. And no
//! picture as a stranger sent it.

fn findings(path: &str, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .flat_map(|(line, text)| faults(text).into_iter().map(move |fault| format!("{path}:{}: {fault}", line + 1)))
        .collect()
}

fn faults(line: &str) -> Vec<&'static str> {
    let lower = line.to_lowercase();
    let packed: String = lower.chars().filter(|char| !char.is_whitespace()).collect();
    let mut faults = Vec::new();
    if packed.contains("|safe") || packed.contains("escape=\"none\"") {
        faults.push("text that is not escaped: let askama escape it, or render it from a typed part");
    }
    if attribute(&lower, |name| name == "style") || lower.contains("<style") {
        faults.push("an inline style: the policy refuses it; use a class of rk.css");
    }
    if attribute(&lower, |name| {
        name.strip_prefix("on").is_some_and(|rest| rest.chars().all(|char| char.is_ascii_lowercase()) && rest.len() > 2)
            || name.starts_with("hx-on")
    }) {
        faults.push("an inline handler: the policy refuses it; listen in a module of src/web/static/modules");
    }
    if lower.match_indices("<script").any(|(at, _)| !tag(&lower, at).contains(" src=")) || lower.contains("javascript:")
    {
        faults.push("an inline script: the policy refuses it; write a module of src/web/static/modules");
    }
    if lower.match_indices("<img").any(|(at, _)| source(&lower, at).contains("/content")) {
        faults.push("a file as it came: pages show small pictures that were made of it; use its thumbnail");
    }
    faults
}

/// The address of the picture in the tag that begins here.
fn source(line: &str, at: usize) -> &str {
    let rest = line.get(at..).unwrap_or_default();
    rest.split_once("src=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(address, _)| address)
}

fn tag(line: &str, at: usize) -> &str {
    let rest = line.get(at..).unwrap_or_default();
    rest.split_once("></script").map_or(rest, |(tag, _)| tag)
}

/// Whether some attribute's name, the word before an `=`, is of this kind.
fn attribute(line: &str, is: impl Fn(&str) -> bool) -> bool {
    line.match_indices('=').any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let start = before
            .rfind(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '-' | ':' | '_'))
            .map_or(0, |at| at + 1);
        let spaced =
            before.get(..start).is_some_and(|head| head.is_empty() || head.ends_with([' ', '\t', '"', '\'', '}']));
        spaced && is(before.get(start..).unwrap_or_default())
    })
}

#[test]
fn templates_are_free_of_script_and_style() {
    let templates = crate::files("src", &[".html"]);
    assert!(templates.len() > 15, "only {} templates were found", templates.len());
    crate::none(templates.iter().flat_map(|(path, text)| findings(path, text)).collect());
}

#[test]
fn bad_samples_are_found() {
    for (sample, word) in [
        ("{{ text|safe }}", "not escaped"),
        ("{{ text | safe }}", "not escaped"),
        ("<p style=\"color: red\">", "inline style"),
        ("<style>p {}</style>", "inline style"),
        ("<a href=\"x\" onclick=\"go()\">", "inline handler"),
        ("<a hx-on:click=\"go()\">", "inline handler"),
        ("<script>go()</script>", "inline script"),
        ("<a href=\"javascript:go()\">", "inline script"),
        ("<p>x</p><img alt=\"\" src=\"/api/v1/assets/{{ id }}/content\">", "a file as it came"),
    ] {
        crate::finds(&findings("x.html", sample), word);
    }
    let good = "<script type=\"module\" src=\"{{ frame.asset(\"a.js\") }}\"></script><p class=\"style\" data-on=\"1\">{% if one == 1 %}";
    assert_eq!(findings("x.html", good), Vec::<String>::new());
}
