//! What the frame of every page shows: who looks, what runs, what is left to spend, what is wrong at the moment.

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web,
};

use crate::{
    base::{
        access::Role,
        ctx::{Acting, Ctx},
        error::Fault,
    },
    ledger::{
        self,
        model::{CapState, Period, Scope},
    },
    platform::Platform,
    studio,
    web::{
        cookies, format,
        frame::{CapLine, Frame, MoneyChip, Notice, Theme, Tone, initials},
        headers, look, page,
    },
};

/// Prepares the frame for requests that show a page, so that every page has one and no handler can forget it.
pub async fn prepare(
    platform: web::ThinData<Platform>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let page = look::of(request.path()) == look::Look::Page && !request.path().starts_with("/static/");
    let ctx = request.extensions().get::<Ctx>().cloned();
    if let (true, Some(ctx)) = (page, ctx) {
        let theme = request.cookie(Theme::COOKIE).map(|cookie| Theme::parse(cookie.value())).unwrap_or_default();
        let whole = matches!(*request.method(), Method::GET | Method::POST);
        let mut frame = frame(&platform, &ctx, theme, whole).await;
        frame.flash = cookies::flash_of(&request);
        let flashed = frame.flash.is_some();
        request.extensions_mut().insert(frame);
        let mut response = next.call(request).await?.map_into_boxed_body();
        if flashed && page::is_page(response.headers()) {
            cookies::take_flash(response.response_mut());
        }
        return Ok(response);
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

async fn frame(platform: &Platform, ctx: &Ctx, theme: Theme, whole: bool) -> Frame {
    let mut frame =
        Frame { csrf: headers::form_token(&platform.keys, ctx), theme, notices: notices(platform), ..Frame::default() };
    let Ok(acting) = ctx.acting() else { return frame };
    frame.person.clone_from(&acting.name);
    frame.mail.clone_from(&acting.mail);
    frame.initials = initials(&acting.name);
    frame.is_admin = acting.roles.contains(&Role::Owner);
    if whole && let Err(error) = fill(platform, ctx, acting, &mut frame).await {
        // The page itself will say what is wrong; its frame only shows less.
        tracing::debug!(code = error.code(), "the frame is incomplete");
    }
    frame
}

async fn fill(platform: &Platform, ctx: &Ctx, acting: &Acting, frame: &mut Frame) -> Result<(), Box<dyn Fault>> {
    let mut conn = platform.db.read().await.map_err(boxed)?;
    let (running, waiting) = studio::ops::counts(&mut conn, acting.person).await.map_err(boxed)?;
    frame.running = u32::try_from(running).unwrap_or(0);
    frame.waiting = u32::try_from(waiting).unwrap_or(0);
    frame.workspace = crate::organisation::ops::organisation(&mut conn).await.map_err(boxed)?.name;
    let caps = ledger::ops::caps_of(&mut conn, ctx, acting.organisation, acting.workspace, acting.person)
        .await
        .map_err(boxed)?;
    frame.money = money(&caps);
    frame.notices.extend(warning(&caps));
    Ok(())
}

fn boxed<F: Fault>(fault: F) -> Box<dyn Fault> {
    Box::new(fault)
}

/// The tightest cap as a chip, all of them below it. Without a cap there is nothing to run out of.
fn money(caps: &[CapState]) -> Option<MoneyChip> {
    let tightest = caps.iter().min_by_key(|cap| cap.left.micros)?;
    let left = format::money(tightest.left.micros.0.max(0), tightest.left.currency.as_str());
    Some(MoneyChip { text: format!("{left} left"), caps: caps.iter().map(line).collect() })
}

/// What is said on every page once a cap is used to four fifths: of all such caps, of the one that leaves least.
fn warning(caps: &[CapState]) -> Option<Notice> {
    let close = caps.iter().filter(|cap| cap.warning >= Some(80));
    let cap = close.min_by_key(|cap| cap.left.micros)?;
    let show = |micros: i64| format::money(micros, cap.limit.currency.as_str());
    let whose = match cap.scope {
        Scope::Person => "Your spend cap",
        Scope::Workspace => "Your workspace’s spend cap",
        Scope::Organisation => "The organisation’s spend cap",
    };
    let when = match cap.period {
        Period::Day => " for today",
        Period::Month => " for this month",
        Period::Total => "",
    };
    let until = cap.refills_at.as_ref().map(|at| format!(" until {}", at.0.format("%-d %B, %H:%M UTC")));
    let left = format!("{} of {} is left", show(cap.left.micros.0.max(0)), show(cap.limit.micros.0));
    Some(match cap.warning {
        Some(100) => Notice {
            tone: Tone::Bad,
            title: format!("{whose}{when} is used up"),
            text: match until {
                Some(until) => {
                    format!("{left}. Requests that cost something are refused{until}, or until an owner adds to it.")
                }
                None => format!("{left}. Requests that cost something are refused until an owner adds to it."),
            },
        },
        _ => Notice {
            tone: Tone::Warn,
            title: format!("{whose}{when} is used to 80 %"),
            text: format!("{left}{}.", until.unwrap_or_default()),
        },
    })
}

/// One cap in words.
pub fn line(cap: &CapState) -> CapLine {
    let show = |micros: i64| format::money(micros, cap.limit.currency.as_str());
    let (left, limit) = (cap.left.micros.0, show(cap.limit.micros.0));
    let used = cap.limit.micros.0.saturating_sub(cap.left.micros.0);
    let share = match cap.limit.micros.0 {
        0 => 1000,
        limit => (i128::from(used.max(0)) * 1000 / i128::from(limit)).min(1000),
    };
    CapLine {
        title: cap_title(cap),
        text: match left {
            ..0 => format!("{} over {limit}", show(left.saturating_neg())),
            0 => format!("{limit} is used up"),
            _ => format!("{} left of {limit}", show(left)),
        },
        used: u16::try_from(share).unwrap_or(1000),
        note: cap_note(cap),
    }
}

/// "Yours, this month"
fn cap_title(cap: &CapState) -> String {
    let whose = match cap.scope {
        Scope::Person => "Yours",
        Scope::Workspace => "Your workspace",
        Scope::Organisation => "The whole organisation",
    };
    let when = match cap.period {
        Period::Day => "today",
        Period::Month => "this month",
        Period::Total => "in all",
    };
    format!("{whose}, {when}")
}

fn cap_note(cap: &CapState) -> String {
    let refills = cap.refills_at.as_ref().map(|at| format!("refills on {}", at.0.format("%-d %B")));
    let shared = (cap.scope != Scope::Person).then(|| "shared by everybody".to_owned());
    let half = (cap.warning == Some(50)).then(|| "more than half is used".to_owned());
    let note = [half, shared, refills].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut letters = note.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn notices(platform: &Platform) -> Vec<Notice> {
    let mut notices: Vec<Notice> = platform
        .notices
        .all()
        .into_iter()
        .map(|(_, text)| Notice { tone: Tone::Bad, title: "A part of the server is away".to_owned(), text })
        .collect();
    if platform.config.inference.demo_faults {
        notices.push(Notice {
            tone: Tone::Warn,
            title: "Faulty demo models are on".to_owned(),
            text:
                "They fail on purpose, to try out what happens then. Set inference.demo_faults to false to hide them."
                    .to_owned(),
        });
    }
    notices
}
