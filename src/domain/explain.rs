//! A gate's word as a merchant's support person reads it aloud.

use super::{Finding, Gate, Lang, Reason};

/// One sentence, or two.
pub fn text(lang: Lang, finding: &Finding) -> String {
    let fact = |key: &str| {
        let found = finding.facts.iter().find(|(known, _)| known == key);
        found.map_or("", |(_, value)| value.as_str())
    };
    match &finding.refusal {
        None => passed(lang, finding.gate, fact),
        Some(refusal) => refused(lang, refusal.reason, fact),
    }
}

fn passed<'a>(lang: Lang, gate: Gate, fact: impl Fn(&str) -> &'a str) -> String {
    let (zh, en) = match gate {
        Gate::Enrollment => ("商家在该计划内。", "The merchant is in the program."),
        Gate::Program => ("该计划正在进行。", "The program is running."),
        Gate::Surface => (
            "该计划开放这个展示位置。",
            "The program opens this surface.",
        ),
        Gate::ContactKind => (
            "该计划开放这种联系方式。",
            "The program opens this kind of contact.",
        ),
        Gate::Spend => return spend(lang, fact),
        Gate::Sanctions => (
            "没有生效中的处罚影响名片。",
            "No sanction stops the merchant's cards.",
        ),
        Gate::Card => ("名片可用。", "The card is active."),
        Gate::Placement => ("名片已上架。", "The placement is live."),
        Gate::Schedule => ("在展示时间内。", "It is within its scheduled time."),
        Gate::Contact => (
            "名片有可展示的联系方式。",
            "The card has a contact to show here.",
        ),
        Gate::Link => link(fact("leadsTo"), fact("cause")),
        Gate::HoldOut => (
            "该用户在实验的展示组中。",
            "The viewer is among those whom the experiment shows cards.",
        ),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
    .to_owned()
}

fn link(leads_to: &str, cause: &str) -> (&'static str, &'static str) {
    match (leads_to, cause) {
        ("LINK", _) => ("企业微信链接可用。", "The WeCom link works."),
        ("CHAT", "") => (
            "企业微信按钮打开微信客服，由此产生的加微不计归因。",
            "The WeCom button opens a customer-service chat; adds that come of it are credited \
             to nobody.",
        ),
        ("CHAT", _) => (
            "企业微信链接暂不可用，改为打开微信客服，由此产生的加微不计归因。",
            "The WeCom link cannot be used now; the button opens a customer-service chat, and \
             adds that come of it are credited to nobody.",
        ),
        (_, "") => ("不涉及企业微信链接。", "No WeCom link is asked for."),
        _ => (
            "企业微信链接暂不可用，先展示其他联系方式。",
            "The WeCom link cannot be used now; another contact is shown in its stead.",
        ),
    }
}

fn spend<'a>(lang: Lang, fact: impl Fn(&str) -> &'a str) -> String {
    let (total, threshold) = (fact("total"), fact("threshold"));
    match (lang, fact("state"), fact("hidesAt")) {
        (Lang::Zh, "OPEN", _) => format!("投放消耗合计 {total}，门槛 {threshold}，权限已开通。"),
        (Lang::En, "OPEN", _) => {
            format!("Ad spend adds up to {total}, the threshold is {threshold}: cards are open.")
        }
        (Lang::Zh, _, until) => {
            format!("投放消耗合计 {total}，未超过门槛 {threshold}；已上架的名片展示到 {until}。")
        }
        (Lang::En, _, until) => format!(
            "Ad spend adds up to {total}, not over the threshold of {threshold}; what is placed \
             is still shown until {until}."
        ),
    }
}

fn refused<'a>(lang: Lang, reason: Reason, fact: impl Fn(&str) -> &'a str) -> String {
    use Reason::{
        CardNotActive, CardSuspended, HeldOut, KindNotOpen, KindNotShown, LinkUnavailable,
        NotEnrolled, OutsideSchedule, PlacementNotLive, ProgramEnded, ProgramNotStarted,
        ProgramPaused, SpendBelowThreshold, SpendPending, StoreFrozen, SurfaceNotOpen,
    };
    let (total, threshold, shortfall) = (fact("total"), fact("threshold"), fact("shortfall"));
    let (start, end) = (fact("startTime"), fact("endTime"));
    let zh = lang == Lang::Zh;
    match reason {
        NotEnrolled if fact("list") == "DENY" && zh => "商家被该计划排除。".to_owned(),
        NotEnrolled if fact("list") == "DENY" => "The program excludes the merchant.".to_owned(),
        NotEnrolled if zh => "商家暂未被选入该计划。".to_owned(),
        NotEnrolled => "The merchant has not been chosen for the program yet.".to_owned(),
        ProgramPaused if zh => "该计划已暂停，名片暂不展示。".to_owned(),
        ProgramPaused => "The program is paused; cards are not shown for now.".to_owned(),
        ProgramEnded if zh => format!("该计划已于 {end} 结束，名片已撤下，数据仍可导出。"),
        ProgramEnded => format!(
            "The program ended at {end}; cards are withdrawn, their data can still be exported."
        ),
        ProgramNotStarted if zh => format!("该计划将于 {start} 开始。"),
        ProgramNotStarted => format!("The program begins at {start}."),
        SurfaceNotOpen if zh => "该计划不开放这个展示位置。".to_owned(),
        SurfaceNotOpen => "The program does not open this surface.".to_owned(),
        KindNotOpen if zh => "该计划不开放这种联系方式。".to_owned(),
        KindNotOpen => "The program does not open this kind of contact.".to_owned(),
        SpendBelowThreshold if zh => {
            format!(
                "投放消耗合计 {total}，须超过 {threshold}，还差 {shortfall}；达到后次日自动开通。"
            )
        }
        SpendBelowThreshold => format!(
            "Ad spend adds up to {total} and must be greater than {threshold}: {shortfall} more, \
             and cards open by themselves the day after."
        ),
        SpendPending if zh => format!("消耗已达标，将于 {} 自动开通。", fact("opensAt")),
        SpendPending => format!(
            "Ad spend has passed the threshold; cards open by themselves at {}.",
            fact("opensAt")
        ),
        CardSuspended if zh => format!("商家的名片因处罚被暂停{}。", until(end)),
        CardSuspended => format!("A sanction suspends the merchant's cards{}.", till(end)),
        StoreFrozen if zh => format!("店铺因处罚被冻结{}，名片不展示。", until(end)),
        StoreFrozen => format!(
            "A sanction has frozen the store{}; cards are not shown.",
            till(end)
        ),
        HeldOut if zh => "该用户在实验的对照组中，不展示名片。".to_owned(),
        HeldOut => "An experiment holds the viewer out: no cards are shown.".to_owned(),
        CardNotActive if zh => "名片已删除。".to_owned(),
        CardNotActive => "The card is deleted.".to_owned(),
        PlacementNotLive if zh => "该展示已暂停或删除。".to_owned(),
        PlacementNotLive => "The placement is paused or deleted.".to_owned(),
        OutsideSchedule if zh => format!("不在展示时间内（{start} 至 {end}）。"),
        OutsideSchedule => format!("It is outside its scheduled time ({start} to {end})."),
        KindNotShown if zh => "名片没有这里可展示的联系方式。".to_owned(),
        KindNotShown => "The card has no contact to show here.".to_owned(),
        LinkUnavailable if fact("cause") == "EXHAUSTED" && zh => {
            "获客助手额度已用完，充值后自动恢复展示。".to_owned()
        }
        LinkUnavailable if fact("cause") == "EXHAUSTED" => {
            "No adds are left at WeCom; cards return by themselves once more are bought.".to_owned()
        }
        LinkUnavailable if zh => "企业微信链接暂不可用。".to_owned(),
        LinkUnavailable => "The WeCom link cannot be used now.".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// Of a sanction's end, if it has one.
fn until(end: &str) -> String {
    match end {
        "" => String::new(),
        end => format!("，至 {end} 自动解除"),
    }
}

fn till(end: &str) -> String {
    match end {
        "" => String::new(),
        end => format!(" until {end}"),
    }
}
