//! The gate on series of which it is known whether there is anything to be found: the whole way from candles
//! through search and examination to the verdict.

use rayon::prelude::*;
use sep_contract::Timeframe;
use sep_gpu::backend::Backend;
use sep_gpu::backtest::Costs;
use sep_gpu::bars::Bars;
use sep_gpu::history::History;
use sep_gpu::lane::Distance;
use sep_gpu::qfh::Constants;
use sep_gpu::synth::{Edge, Spec, generate};
use sep_gpu::train::{Request, Training};
use sep_gpu::variant::{Hours, Search, Space, Variant, Weights};
use sep_gpu::verdict::{Demands, Evidence, Plan, Verdict, examine};

/// A month of M1 bars: enough for the twenty days that the gate asks for, walking forward over 12 of 16 slices.
const BARS: usize = 42_000;

/// Weight on the ruptures, which the planted edge comes of.
const RUPTURES: Weights = Weights { stability: 1.0, coherence: 0.0, entropy: 0.0 };
/// Weight on coherence, which has no part in it.
const COHERENCE: Weights = Weights { stability: 0.0, coherence: 1.0, entropy: 0.0 };

/// 36 variants.
pub fn request() -> Request {
    let far = Distance { ticks: 100_000, ranges: 0 };
    let space = Space {
        timeframes: vec![Timeframe::M1],
        windows: vec![5, 8, 11],
        symmetric: vec![true],
        weights: vec![RUPTURES, COHERENCE],
        buy_above: vec![0.6],
        sell_above: vec![0.6],
        min_confidence: vec![0.0, 0.65],
        min_coherence: vec![0.0],
        collapse: vec![None],
        confirm: vec![false],
        hours: vec![Hours::ALL],
        stops: vec![far],
        targets: vec![far],
        holds: vec![2, 10, 60],
    };
    let (constants, costs) = (Constants::default(), Costs::default());
    Request { space, search: Search::Grid, constants, costs, slices: 16, embargo: 0 }
}

/// What the gate says to one series, and the variant that it speaks of.
pub type Judged = (Evidence, Verdict, Option<Variant>);

fn judged(spec: &Spec, request: &Request) -> Judged {
    let backend = Backend::cpu();
    let bars = Bars::new(&generate(spec).unwrap());
    let history = History::of(bars, &request.space.timeframes).unwrap();
    let training = Training::new(request, &history, &backend, |_| {}).unwrap();
    let plan = Plan::new(training.slices.base.clone(), training.slices.apart, spec.seed);
    let found = training.search(None).unwrap();
    let (evidence, verdict) =
        examine(&training, &found, &plan, &Demands::default(), |_, search| search()).unwrap();
    let finalist = evidence.finalist.map(|place| training.variant(place));
    (evidence, verdict, finalist)
}

/// A month of minutes made up by a seed.
pub fn spec(seed: u64, spread: i32, edge: Option<Edge>) -> Spec {
    Spec { spread, edge, ..Spec::new("EUR_USD".parse().unwrap(), BARS, seed) }
}

/// What the gate says to each of some series, searched in this way.
pub fn all_judged(request: &Request, specs: impl IntoIterator<Item = Spec>) -> Vec<Judged> {
    let specs: Vec<Spec> = specs.into_iter().collect();
    specs.par_iter().map(|spec| judged(spec, request)).collect()
}

/// How many of them were promoted.
pub fn promoted(judged: &[Judged]) -> usize {
    judged.iter().filter(|(_, verdict, _)| verdict.promoted).count()
}

/// How many of them were promoted for the very edge that was planted.
pub fn found(judged: &[Judged], edge: &Edge) -> usize {
    let right =
        |finalist: &Option<Variant>| finalist.as_ref().is_some_and(|variant| is_the_edge(variant, edge));
    judged.iter().filter(|(_, verdict, finalist)| verdict.promoted && right(finalist)).count()
}

/// A hundred walks that cost 0.8 pips a trade, and a hundred that cost nothing, where only statistics stand
/// between luck and promotion.
#[test]
fn random_walks_are_not_promoted() {
    for spread in [8, 0] {
        let judged = all_judged(&request(), (0..100).map(|seed| spec(seed, spread, None)));
        let lucky = promoted(&judged);
        assert!(lucky <= 5, "{lucky} of 100 promoted, spread {spread}");
        assert!(
            judged.iter().all(|(_, verdict, _)| verdict.promoted || verdict.words.starts_with("no edge"))
        );
        if spread == 0 {
            // Without costs or skill a variant's ratio has mean 0 and variance 1, whatever it trades: the
            // assumption that the deflated Sharpe ratio stands on.
            let mean =
                |of: fn(&Evidence) -> f64| judged.iter().map(|(evidence, ..)| of(evidence) / 100.0).sum();
            let (middle, square): (f64, f64) = (
                mean(|evidence| evidence.trials.spread.mean),
                mean(|evidence| evidence.trials.spread.variance + evidence.trials.spread.mean.powi(2)),
            );
            assert!(middle.abs() < 0.25 && (0.8..1.2).contains(&square), "{middle}, {square}");
        }
    }
}

/// An edge of so many thousandths of a tick a minute.
pub fn planted(drift: i32) -> Edge {
    Edge { window: 11, rupture_share: 0.6, drift, bars: 10 }
}

/// Whether a variant is the one that the edge was planted for.
fn is_the_edge(variant: &Variant, edge: &Edge) -> bool {
    variant.window == edge.window && variant.weights == RUPTURES && variant.hold == 10
}

/// The edge: after 11 bits with ruptures in 6 of their 10 transitions (or falling in the same way), the next
/// ten minutes drift by 18 % of a minute's volatility each. It pays 0.8 pips a trade.
#[test]
fn a_planted_edge_is_promoted_and_found() {
    let edge = planted(1_800);
    let judged = all_judged(&request(), (0..50).map(|seed| spec(seed, 8, Some(edge))));
    let right = found(&judged, &edge);
    let others: Vec<(&str, &Option<Variant>)> = judged
        .iter()
        .filter(|(_, verdict, _)| !verdict.promoted)
        .map(|(_, verdict, finalist)| (verdict.words.as_str(), finalist))
        .collect();
    assert!(right >= 40, "{right} of 50 promoted and found; refused: {others:#?}");
}

/// What a walk came to is asked for once: an examination that ended within its walks goes on after them, and comes
/// to the same.
#[test]
fn finished_walks_are_not_searched_again() {
    let (request, backend) = (request(), Backend::cpu());
    let spec = spec(7, 8, Some(Edge::of_drift(2_000)));
    let bars = Bars::new(&generate(&spec).unwrap());
    let history = History::of(bars, &request.space.timeframes).unwrap();
    let training = Training::new(&request, &history, &backend, |_| {}).unwrap();
    let usual = Plan::new(training.slices.base.clone(), training.slices.apart, spec.seed);
    let plan = Plan { walks: 4, ..usual };
    let found = training.search(None).unwrap();
    let demands = Demands { null: 0.2, ..Demands::default() };
    let whole = examine(&training, &found, &plan, &demands, |_, search| search()).unwrap();
    assert_eq!(whole.0.null.unwrap().others, 4, "{}", whole.1.words);
    let mut known = Vec::new();
    let ended = examine(&training, &found, &plan, &demands, |walk, search| {
        if walk == 2 {
            return Err(sep_gpu::train::TrainError::Missing { pair: history.pair, timeframe: Timeframe::M1 });
        }
        known.push(search()?);
        Ok(known[walk])
    });
    assert!(ended.is_err() && known.len() == 2);
    let mut searched = Vec::new();
    let gone_on = examine(&training, &found, &plan, &demands, |walk, search| match known.get(walk) {
        Some(ratio) => Ok(*ratio),
        None => {
            searched.push(walk);
            search()
        }
    });
    assert_eq!((gone_on.unwrap(), searched), (whole, vec![2, 3]));
}

#[test]
fn the_verdict_is_the_same_on_any_number_of_threads() {
    let spec = spec(7, 8, Some(Edge::of_drift(2_000)));
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let one = alone.install(|| judged(&spec, &request()));
    assert_eq!(judged(&spec, &request()), one);
    assert!(one.0.null.is_some(), "the random walks were run: {}", one.1.words);
}
