use super::*;

#[test]
fn a_reading_is_put_into_words() {
    let plan = Plan::default();
    let said = |lang, it: Experiment| words(lang, &plan, &read(&plan, &[it], 1000.0));
    for (it, zh, en) in [
        (
            experiment(500, (20_000, 2_200), (20_000, 2_000)),
            "展示名片提高了转化率：相对提升 +10.0%（95% 区间 +0.6% 至 +20.2%）。",
            "Showing the card raises the rate: relative lift +10.0% (95% interval +0.6% to +20.2%).",
        ),
        (
            experiment(500, (20_000, 2_000), (20_000, 2_300)),
            "展示名片降低了转化率：相对提升 -13.0%（95% 区间 -20.4% 至 -5.1%）。",
            "Showing the card lowers the rate: relative lift -13.0% (95% interval -20.4% to -5.1%).",
        ),
        (
            experiment(500, (2_000, 220), (2_000, 200)),
            "未显示出差异：相对提升 +10.0%（95% 区间 -21.0% 至 +53.1%）。\
             目前的样本只能显示 50.4% 以上的提升；显示 5% 最多约需 236562 名用户，按目前速度还需 233 天。",
            "No difference is shown: relative lift +10.0% (95% interval -21.0% to +53.1%). \
             The sample can show 50.4% or more; 5% takes up to 236562 viewers, 233 more days at \
             the present rate.",
        ),
        (
            experiment(500, (150_000, 15_300), (150_000, 15_000)),
            "未显示出差异：相对提升 +2.0%（95% 区间 -1.5% 至 +5.7%）。样本已足以显示 5% 的提升，但没有显示。",
            "No difference is shown: relative lift +2.0% (95% interval -1.5% to +5.7%). \
             The sample is large enough to show 5%, and does not.",
        ),
        (
            experiment(500, (500_000, 50_000), (500_000, 50_000)),
            "未显示出差异：相对提升 +0.0%（95% 区间 -2.0% 至 +2.1%）。可以排除 5% 或更高的提升。",
            "No difference is shown: relative lift +0.0% (95% interval -2.0% to +2.1%). \
             A lift of 5% or more is ruled out.",
        ),
        (
            experiment(500, (99, 9), (99, 9)),
            "每组观察期满的用户达到 100 名后才给出结果。",
            "Results appear once 100 viewers' windows have closed in each arm.",
        ),
        (
            experiment(500, (100, 4), (100, 5)),
            "每组转化的用户达到 5 名后才给出结果。",
            "Results appear once 5 viewers have converted in each arm.",
        ),
        (
            exposed(500, 900, 100),
            "两组人数与设定的比例不符，查明原因之前不作结论。",
            "The arms are not of the declared sizes; nothing is concluded until the cause is found.",
        ),
    ] {
        assert_eq!(said(Lang::Zh, it), zh);
        assert_eq!(said(Lang::En, it), en);
    }
}

#[test]
fn withheld_adds_say_why() {
    let verdict = Verdict::Withheld(Withheld::AddsNotReported);
    let it = Reading {
        verdict,
        ..reading(&[experiment(500, (20_000, 2_200), (20_000, 2_000))])
    };
    let said = |lang| words(lang, &Plan::default(), &it);
    assert_eq!(
        said(Lang::Zh),
        "对照组不能通过名片加微，商家按用户上报全部加微后才能比较。"
    );
    assert_eq!(
        said(Lang::En),
        "Held-out viewers cannot add through the card; adds are compared only where the merchant \
         reports all of them by viewer."
    );
}

#[test]
fn the_days_are_left_out_where_nobody_comes() {
    let plan = Plan::default();
    let so_far = experiment(500, (2_000, 220), (2_000, 200));
    let said = |lang| words(lang, &plan, &read(&plan, &[so_far], 0.0));
    assert!(said(Lang::Zh).ends_with("最多约需 236562 名用户。"));
    assert!(said(Lang::En).ends_with("takes up to 236562 viewers."));
}

#[test]
fn what_rounds_to_nothing_is_not_negative() {
    let so_far = experiment(500, (20_000, 2_000), (20_000, 2_001));
    let plan = Plan::default();
    let said = words(Lang::En, &plan, &read(&plan, &[so_far], 0.0));
    assert!(said.contains("relative lift +0.0%"), "{said}");
}

#[test]
fn a_need_beyond_counting_is_said_all_the_same() {
    let so_far = experiment(500, (u64::MAX, 5), (u64::MAX, 5));
    let plan = Plan::default();
    let said = words(Lang::En, &plan, &read(&plan, &[so_far], 0.0));
    assert!(said.contains(&u64::MAX.to_string()), "{said}");
}
