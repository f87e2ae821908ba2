//! What a series of profits and losses looks like: mean, spread, skewness, kurtosis, Sharpe ratio.
//!
//! Owns the moments and nothing that is concluded from them (that is the Sharpe module's).

use serde::{Deserialize, Serialize};

/// The moments of a series, in the series' own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many values there were.
    pub count: usize,
    pub mean: f64,
    /// The sample's standard deviation (divided by n - 1).
    pub deviation: f64,
    /// The third standardised moment (divided by n); 0 for a normal distribution.
    pub skewness: f64,
    /// The fourth standardised moment (divided by n), not the excess over it; 3 for a normal distribution.
    pub kurtosis: f64,
}

impl Moments {
    /// The moments of amounts of money, in centi-ticks. A series that does not vary has a normal's skewness
    /// and kurtosis, and a deviation of 0.
    pub fn of(amounts: &[i64]) -> Self {
        let count = amounts.len();
        let n = count as f64;
        let mean = if count == 0 { 0.0 } else { amounts.iter().sum::<i64>() as f64 / n };
        let [mut second, mut third, mut fourth] = [0.0; 3];
        for &amount in amounts {
            let away = amount as f64 - mean;
            let square = away * away;
            second += square;
            third += square * away;
            fourth += square * square;
        }
        if second <= 0.0 {
            return Self { count, mean, deviation: 0.0, skewness: 0.0, kurtosis: 3.0 };
        }
        let variance = second / n;
        Self {
            count,
            mean,
            deviation: libm::sqrt(second / (n - 1.0)),
            skewness: third / n / (variance * libm::sqrt(variance)),
            kurtosis: fourth / n / (variance * variance),
        }
    }

    /// Mean over deviation, of one period (not annualised). A series that does not vary has none: 0.
    pub fn sharpe(&self) -> f64 {
        if self.deviation > 0.0 { self.mean / self.deviation } else { 0.0 }
    }

    /// The t statistic of the mean against zero.
    pub fn t(&self) -> f64 {
        self.sharpe() * libm::sqrt(self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    /// numpy's mean and std(ddof=1), scipy.stats' skew and kurtosis(fisher=False).
    #[test]
    fn as_scipy_has_them() {
        let moments = Moments::of(&[3, -1, 4, -1, 5, -9, 2, 6, -5, 3, 5, -8, 9, 7, -9, 3]);
        assert_eq!((moments.count, moments.mean), (16, 0.875));
        for (found, expected) in [
            (moments.deviation, 5.795_112_883_571_237),
            (moments.sharpe(), 0.150_989_293_492_550_83),
            (moments.t(), 0.603_957_173_970_203_3),
            (moments.skewness, -0.615_251_374_988_992_3),
            (moments.kurtosis, 2.120_472_880_197_526),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }

    #[test]
    fn a_series_that_does_not_vary_has_no_sharpe_ratio() {
        assert_eq!(Moments::of(&[]).sharpe(), 0.0);
        assert_eq!(Moments::of(&[7]).sharpe(), 0.0);
        let flat = Moments::of(&[7, 7, 7]);
        assert_eq!((flat.mean, flat.sharpe(), flat.kurtosis), (7.0, 0.0, 3.0));
    }
}
