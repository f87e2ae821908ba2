//! What a Sharpe ratio is worth: given its length, its tails, and how many were tried to find it.
//!
//! Owns the probabilistic and the deflated Sharpe ratio. Must not know where the trials come from.

use std::f64::consts::E;

use crate::verdict::distribution::{normal_cdf, normal_quantile, student_t_above};
use crate::verdict::moments::Moments;

/// The Euler-Mascheroni constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// The chance that the true Sharpe ratio exceeds `benchmark` (one period's), from the moments of the series.
/// A series of fewer than two values, or one that does not vary, says nothing: 0.
///
/// Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012), equation 2.
pub fn probabilistic(moments: &Moments, benchmark: f64) -> f64 {
    if moments.count < 2 || moments.deviation <= 0.0 {
        return 0.0;
    }
    let sharpe = moments.sharpe();
    let spread = 1.0 - moments.skewness * sharpe + (moments.kurtosis - 1.0) / 4.0 * sharpe * sharpe;
    // As kurtosis >= skewness^2 + 1, the spread is never negative; where it is 0, the estimate is exact.
    let spread = libm::sqrt(spread.max(f64::MIN_POSITIVE));
    normal_cdf((sharpe - benchmark) * libm::sqrt(moments.count as f64 - 1.0) / spread)
}

/// The confidence that the true mean of a series is above zero: the lesser of the probabilistic Sharpe ratio,
/// which minds rare large losses but takes the sample for large, and of one less the p-value of Student's t
/// test, which does the opposite.
pub fn confidence(moments: &Moments) -> f64 {
    if moments.count < 2 {
        return 0.0;
    }
    let by_t = 1.0 - student_t_above(moments.t(), moments.count as f64 - 1.0);
    probabilistic(moments, 0.0).min(by_t)
}

/// How high the best of `trials` independent standard normal values is expected to be; 0 for one trial.
///
/// Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40 (2014),
/// equation 1.
pub fn expected_maximum(trials: u64) -> f64 {
    if trials <= 1 {
        return 0.0;
    }
    let n = trials as f64;
    (1.0 - EULER) * normal_quantile(1.0 - 1.0 / n) + EULER * normal_quantile(1.0 - 1.0 / (n * E))
}

/// The Sharpe ratio that the best of so many trials would show by luck alone, where the trials' ratios vary by
/// `variance`: what the deflated ratio is measured against.
pub fn lucky(trials: u64, variance: f64) -> f64 {
    libm::sqrt(variance.max(0.0)) * expected_maximum(trials)
}

/// The deflated Sharpe ratio: the chance that the true Sharpe ratio of the best of `trials` exceeds what luck
/// alone would show, where the trials' ratios (of one period, like the series') vary by `variance`.
///
/// Bailey and Lopez de Prado (2014), equation 2.
pub fn deflated(best: &Moments, trials: u64, variance: f64) -> f64 {
    probabilistic(best, lucky(trials, variance))
}

#[cfg(test)]
mod tests {
    use super::{confidence, deflated, expected_maximum, lucky, probabilistic};
    use crate::verdict::moments::Moments;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }

    /// The formulas in scipy.
    #[test]
    fn by_hand() {
        let moments = Moments::of(&[3, -1, 4, -1, 5, -9, 2, 6, -5, 3, 5, -8, 9, 7, -9, 3]);
        close(probabilistic(&moments, 0.0), 0.711_491_374_304_779_2);
        close(probabilistic(&moments, 0.1), 0.574_699_593_921_154_8);
        close(expected_maximum(2), 0.519_755_344_280_593_9);
        close(expected_maximum(1000), 3.255_121_513_652_723);
        assert_eq!(expected_maximum(1), 0.0);
        assert!((expected_maximum(1_000_000) - 4.867_860_037_846_844).abs() < 1e-9);
    }

    /// The worked example of the paper: 1,250 days, an annual Sharpe ratio of 2.5 (250 days), skewness -3,
    /// kurtosis 10, the best of 100 trials whose annual ratios vary by 1/2. The paper gives SR0 = 0.1132 and
    /// DSR = 0.9004, and 0.9505 for 46 trials.
    #[test]
    fn the_papers_example() {
        let sharpe = 2.5 / 250_f64.sqrt();
        let best = Moments { count: 1250, mean: sharpe, deviation: 1.0, skewness: -3.0, kurtosis: 10.0 };
        close((lucky(100, 0.5 / 250.0) * 1e4).round(), 1132.0);
        close((deflated(&best, 100, 0.5 / 250.0) * 1e4).round(), 9004.0);
        close((deflated(&best, 46, 0.5 / 250.0) * 1e4).round(), 9505.0);
    }

    /// With one rare large loss the probabilistic ratio is the lesser, with one lucky day the t test (whose
    /// p-values are scipy.stats.ttest_1samp's).
    #[test]
    fn the_lesser_of_two_confidences() {
        let loss = Moments::of(&[3, 3, 3, 3, 3, 3, 3, 3, 3, -9]);
        close(confidence(&loss), 0.808_316_219_459_220_6);
        assert!(confidence(&loss) < 0.916);
        let lucky = Moments::of(&[1, 2, 1, 30, 1, 2]);
        close(confidence(&lucky), 0.873_666_934_840_672_4);
        assert!(probabilistic(&lucky, 0.0) > 0.98);
    }

    #[test]
    fn nothing_is_concluded_from_nothing() {
        assert_eq!(probabilistic(&Moments::of(&[5]), 0.0), 0.0);
        assert_eq!(probabilistic(&Moments::of(&[5, 5, 5]), 0.0), 0.0);
        assert_eq!(confidence(&Moments::of(&[5])), 0.0);
    }
}
