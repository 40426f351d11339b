//! The flags of rate limits.

use atrarium::limits::{RATE_QUOTA_MAX, RATE_QUOTAS_DEFAULT};
use atrarium::serve::{Cidr, Quota, RateLimits};
use clap::Args;

use super::Failure;
use super::config::File;
use super::serve::OnOff;

#[derive(Args, Default)]
pub struct RateArgs {
    /// Limit the requests of each caller: 429 beyond its quota [default: on]
    #[arg(long, env = "ATRARIUM_RATE_LIMIT", value_name = "on|off")]
    rate_limit: Option<OnOff>,
    /// Proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8 or ::1 [default: none]
    #[arg(long, env = "ATRARIUM_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    trusted_proxy: Vec<String>,
    /// Requests an hour for feeds of each account that proves its DID [default: 100]
    #[arg(long, env = "ATRARIUM_RATE_FEEDS_DID", value_name = "N", value_parser = quota)]
    rate_feeds_did: Option<u32>,
    /// Requests an hour for feeds of each address, for callers without a DID [default: 36000000]
    #[arg(long, env = "ATRARIUM_RATE_FEEDS_ADDRESS", value_name = "N", value_parser = quota)]
    rate_feeds_address: Option<u32>,
    /// Requests an hour for the dashboard of each account that proves its DID [default: 1000]
    #[arg(long, env = "ATRARIUM_RATE_DASHBOARD_DID", value_name = "N", value_parser = quota)]
    rate_dashboard_did: Option<u32>,
    /// Requests an hour for the dashboard of each address, for callers without a DID [default: 10000]
    #[arg(long, env = "ATRARIUM_RATE_DASHBOARD_ADDRESS", value_name = "N", value_parser = quota)]
    rate_dashboard_address: Option<u32>,
}

const RANGE: &str = "give a number from 1 to 3600000000, or --rate-limit off";
const _: () = assert!(RATE_QUOTA_MAX == 3_600_000_000, "the message says so");

fn quota(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|&count| is_quota(count)).ok_or_else(|| RANGE.to_owned())
}

fn is_quota(count: u32) -> bool {
    (1..=RATE_QUOTA_MAX).contains(&count)
}

impl RateArgs {
    /// Flags and environment, then the file, then the defaults; `None` where nobody is limited.
    pub fn settings(self, file: &File) -> Result<Option<RateLimits>, Failure> {
        let given = Some(self.trusted_proxy).filter(|list| !list.is_empty());
        let blocks = given.or_else(|| file.trusted_proxy.clone()).unwrap_or_default();
        let trusted_proxies = blocks
            .iter()
            .map(|block| {
                block.parse::<Cidr>().map_err(|error| Failure::usage(format!("--trusted-proxy {block} {error}")))
            })
            .collect::<Result<_, _>>()?;
        let [feeds_did, feeds_address, dashboard_did, dashboard_address] = RATE_QUOTAS_DEFAULT;
        let quotas = [
            ("rate-feeds-did", self.rate_feeds_did, file.rate_feeds_did, feeds_did),
            ("rate-feeds-address", self.rate_feeds_address, file.rate_feeds_address, feeds_address),
            ("rate-dashboard-did", self.rate_dashboard_did, file.rate_dashboard_did, dashboard_did),
            ("rate-dashboard-address", self.rate_dashboard_address, file.rate_dashboard_address, dashboard_address),
        ];
        if let Some((key, ..)) = quotas.iter().find(|(_, _, in_file, _)| in_file.is_some_and(|count| !is_quota(count)))
        {
            return Err(Failure::usage(format!("{key} in the configuration file: {RANGE}")));
        }
        if self.rate_limit.or(file.rate_limit) == Some(OnOff::Off) {
            return Ok(None);
        }
        let quotas = quotas.map(|(_, flag, in_file, default)| Quota::per_hour(flag.or(in_file).unwrap_or(default)));
        Ok(Some(RateLimits { quotas, trusted_proxies }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = File { rate_feeds_did: Some(7), rate_dashboard_did: Some(8), ..File::default() };
        let args = RateArgs { rate_feeds_did: Some(9), ..RateArgs::default() };
        let settings = args.settings(&file).expect("valid").expect("on by default");
        assert_eq!(settings.quotas.map(Quota::requests), [9, 36_000_000, 8, 10_000]);
        let file = File { rate_limit: Some(OnOff::Off), trusted_proxy: Some(vec!["10.0.0.0/8".into()]), ..file };
        assert_eq!(RateArgs::default().settings(&file).expect("valid"), None);
        let args = RateArgs { rate_limit: Some(OnOff::On), ..RateArgs::default() };
        assert_eq!(args.settings(&file).expect("valid").map(|settings| settings.trusted_proxies.len()), Some(1));
    }

    #[test]
    fn what_is_no_block_or_no_quota_is_refused() {
        let args = RateArgs { trusted_proxy: vec!["10.0.0.0/40".into()], ..RateArgs::default() };
        let failure = args.settings(&File::default()).expect_err("no block");
        assert!(failure.code == 2 && failure.line.contains("--trusted-proxy 10.0.0.0/40"), "{}", failure.line);
        let file = File { rate_feeds_did: Some(0), ..File::default() };
        assert_eq!(RateArgs::default().settings(&file).expect_err("no quota").code, 2);
        assert!(quota("0").is_err() && quota("x").is_err() && quota("3600000001").is_err() && quota("1").is_ok());
    }
}
