//! A reading as the program's owner reads it aloud.

use super::super::Lang;
use super::{Estimate, MIN_CONVERSIONS, MIN_VIEWERS, Need, Plan, Reading, Verdict, Withheld};

/// One sentence, or two.
pub fn words(lang: Lang, plan: &Plan, reading: &Reading) -> String {
    let said = match (lang, reading.verdict) {
        (_, Verdict::Withheld(reason)) => return withheld(lang, reason),
        (Lang::Zh, Verdict::Better) => "展示名片提高了转化率",
        (Lang::En, Verdict::Better) => "Showing the card raises the rate",
        (Lang::Zh, Verdict::Worse) => "展示名片降低了转化率",
        (Lang::En, Verdict::Worse) => "Showing the card lowers the rate",
        (Lang::Zh, Verdict::NotShown) => "未显示出差异",
        (Lang::En, Verdict::NotShown) => "No difference is shown",
    };
    let Some(estimate) = &reading.estimate else {
        return said.to_owned();
    };
    let figures = figures(lang, plan, estimate);
    let outlook = match reading.verdict {
        Verdict::NotShown => outlook(lang, plan, estimate, reading.need.as_ref()),
        _ => String::new(),
    };
    match lang {
        Lang::Zh => format!("{said}：{figures}。{outlook}"),
        Lang::En => format!("{said}: {figures}.{outlook}"),
    }
}

fn withheld(lang: Lang, reason: Withheld) -> String {
    let zh = lang == Lang::Zh;
    match reason {
        Withheld::SplitAlarm if zh => "两组人数与设定的比例不符，查明原因之前不作结论。".to_owned(),
        Withheld::SplitAlarm => {
            "The arms are not of the declared sizes; nothing is concluded until the cause is found."
                .to_owned()
        }
        Withheld::TooFewViewers if zh => {
            format!("每组观察期满的用户达到 {MIN_VIEWERS} 名后才给出结果。")
        }
        Withheld::TooFewViewers => {
            format!("Results appear once {MIN_VIEWERS} viewers' windows have closed in each arm.")
        }
        Withheld::TooFewConversions if zh => {
            format!("每组转化的用户达到 {MIN_CONVERSIONS} 名后才给出结果。")
        }
        Withheld::TooFewConversions => {
            format!("Results appear once {MIN_CONVERSIONS} viewers have converted in each arm.")
        }
        Withheld::AddsNotReported if zh => {
            "对照组不能通过名片加微，商家按用户上报全部加微后才能比较。".to_owned()
        }
        Withheld::AddsNotReported => "Held-out viewers cannot add through the card; adds are \
             compared only where the merchant reports all of them by viewer."
            .to_owned(),
    }
}

/// The lift with its interval.
fn figures(lang: Lang, plan: &Plan, estimate: &Estimate) -> String {
    let trust = percent(1.0 - plan.level);
    let lift = signed(estimate.lift);
    let (lower, upper) = (
        signed(estimate.always_valid.lower),
        signed(estimate.always_valid.upper),
    );
    match lang {
        Lang::Zh => format!("相对提升 {lift}（{trust} 区间 {lower} 至 {upper}）"),
        Lang::En => format!("relative lift {lift} ({trust} interval {lower} to {upper})"),
    }
}

/// What the absence of a difference means, and what more viewers would do.
fn outlook(lang: Lang, plan: &Plan, estimate: &Estimate, need: Option<&Need>) -> String {
    let zh = lang == Lang::Zh;
    let lift = percent(plan.minimal_lift);
    if estimate.always_valid.upper < plan.minimal_lift {
        return if zh {
            format!("可以排除 {lift} 或更高的提升。")
        } else {
            format!(" A lift of {lift} or more is ruled out.")
        };
    }
    if estimate.shows <= plan.minimal_lift {
        return if zh {
            format!("样本已足以显示 {lift} 的提升，但没有显示。")
        } else {
            format!(" The sample is large enough to show {lift}, and does not.")
        };
    }
    let Some(need) = need else {
        return String::new();
    };
    let shows = percent(estimate.shows);
    let viewers = need.always_valid.both();
    let text = if zh {
        format!("目前的样本只能显示 {shows} 以上的提升；显示 {lift} 最多约需 {viewers} 名用户")
    } else {
        format!(" The sample can show {shows} or more; {lift} takes up to {viewers} viewers")
    };
    match need.days_to_go {
        Some(days) if zh => format!("{text}，按目前速度还需 {days} 天。"),
        Some(days) => format!("{text}, {days} more days at the present rate."),
        None if zh => format!("{text}。"),
        None => format!("{text}."),
    }
}

fn percent(share: f64) -> String {
    format!("{}%", rounded(share))
}

fn signed(share: f64) -> String {
    format!("{:+.1}%", rounded(share))
}

/// In percent, to one place; what rounds to nothing is not negative.
fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0 + 0.0
}
