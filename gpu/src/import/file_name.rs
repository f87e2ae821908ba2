//! The pairs that a file's name speaks of.

use sep_contract::Pair;

/// `DAT_ASCII_EURUSD_M1_2012.csv` speaks of EUR_USD, as does `oanda-eur_usd-m1.json`.
pub(super) fn pairs_in(name: &str) -> Vec<Pair> {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let joined = words.iter().filter(|word| word.len() == 6 && word.is_ascii());
    let joined = joined.filter_map(|word| Pair::new(&word[..3], &word[3..]).ok());
    let split = words.windows(2).filter_map(|two| Pair::new(two[0], two[1]).ok());
    joined.chain(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_speak_of_pairs() {
        let found = |name: &str| pairs_in(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("DAT_ASCII_EURUSD_M1_2012.csv"), ["EUR_USD"]);
        assert_eq!(found("fxcm-gbpusd-m1-ask-2012.csv"), ["GBP_USD"]);
        assert_eq!(found("oanda-eur_usd-m1-2025-07-23.json"), ["EUR_USD"]);
        assert!(found("candle-prices-minute.csv").is_empty());
    }
}
