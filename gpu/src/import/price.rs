//! Prices as the sources write them.
//!
//! Files that passed through binary floats (pandas, JSON numbers) hold prices such as 1.1776199999999999.
//! That is 1.17762 and can be nothing else; a price that lies elsewhere between two ticks is refused.

use rust_decimal::Decimal;
use sep_contract::ticks::{PriceError, parse_decimal};
use sep_contract::{Pair, Ticks};

/// How far from a tick float arithmetic may have moved a price: a hundred-thousandth of a tick of five
/// digits, and more than a thousand times what one operation on doubles of this size can do.
const NOISE: Decimal = Decimal::from_parts(1, 0, 0, false, 10);

/// The ticks of a price in decimal digits.
pub(super) fn parse(text: &str, pair: Pair) -> Result<Ticks, PriceError> {
    let written = parse_decimal(text)?;
    let nearest = written.round_dp(pair.digits());
    let price = if (written - nearest).abs() <= NOISE { nearest } else { written };
    Ticks::from_decimal(price, pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_of_floats_is_taken_off_and_nothing_else() {
        let ticks = |text: &str, pair: &str| parse(text, pair.parse().unwrap());
        assert_eq!(ticks("1.1776199999999999", "EUR_USD").unwrap().get(), 117_762);
        assert_eq!(ticks("1.17762", "EUR_USD").unwrap().get(), 117_762);
        assert_eq!(ticks("155.12300000000002", "USD_JPY").unwrap().get(), 155_123);
        for (text, pair) in [("1.177615", "EUR_USD"), ("1.177620001", "EUR_USD"), ("155.1235", "USD_JPY")] {
            assert!(matches!(ticks(text, pair), Err(PriceError::TooManyDigits { .. })), "{text}");
        }
        assert!(matches!(ticks("0.00000000000001", "EUR_USD"), Err(PriceError::NotPositive { .. })));
    }
}
