//! `provision`: what the regions need on AWS, created, checked or printed.

use std::process::ExitCode;

use serde_json::json;
use store_s3::{Cloud, Difference, Fault, Plan, Role, Site};

use crate::{
    args::Print,
    config::Place,
    failure::{Failure, Outcome},
    output::{Output, counted},
    session::Session,
};

pub(crate) async fn provision(
    session: &Session,
    checks: bool,
    print: Option<Print>,
    account: Option<&str>,
    out: &mut Output,
) -> Outcome {
    let plan = plan(session)?;
    if let Some(print) = print {
        return self::print(session, &plan, print, account, out);
    }
    let cloud = Cloud::connect(plan).await;
    let differences = if checks { cloud.check().await? } else { cloud.provision().await? };
    for difference in &differences {
        let Difference { region, part, fault, says, .. } = difference;
        if out.is_json() {
            out.object(&json!({"region": region, "part": part.name(), "fault": fault.name(), "says": says}))?;
        } else if checks {
            out.line(format_args!("{difference}"))?;
        } else {
            let done = if *fault == Fault::Wider { "narrowed" } else { "made" };
            out.line(format_args!("{region}: {}: {done}: {says}", part.name()))?;
        }
    }
    let names: Vec<&str> = cloud.plan().names().collect();
    if !out.is_json() {
        let names = names.join(", ");
        match differences.len() {
            0 => out.line(format_args!("everything that {names} need is there, and nothing is wider than needed"))?,
            count if checks => {
                out.line(format_args!("{} from what {names} need", counted(count as u64, "difference")))?;
            }
            count => out.line(format_args!("{} made for {names}", counted(count as u64, "change")))?,
        }
    }
    Ok(if checks && !differences.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The regions of the configuration whose buckets are on S3.
fn plan(session: &Session) -> Outcome<Plan> {
    let sites: Vec<Site> = session
        .regions
        .iter()
        .filter_map(|region| {
            let Place::S3(url) = &region.place else { return None };
            // What --replica names writes in the region that --region names.
            let asked = session.asked_replica().filter(|_| region.name == session.region().name);
            Some(Site {
                name: region.name.clone(),
                bucket: (**url).clone(),
                queue: region.hints.clone(),
                replicas: vec![asked.map_or_else(|| region.name.clone(), str::to_owned)],
            })
        })
        .collect();
    if sites.is_empty() {
        return Err(Failure::usage("no bucket of the configuration is on S3; `archipelago init --s3 NAME` writes one"));
    }
    Ok(Plan::new(sites)?)
}

fn print(session: &Session, plan: &Plan, print: Print, account: Option<&str>, out: &mut Output) -> Outcome {
    let region = &*session.region().name;
    let printed = match print {
        Print::Cloudformation => plan.template(region),
        Print::Policy => {
            let account = account.map(str::to_owned).or_else(|| plan.account());
            let account = account.ok_or_else(|| {
                Failure::usage("the policies name queues, and these their account: give it with --account")
            })?;
            let policy = |role: Role| Some((role.name().to_owned(), plan.role(region, role, &account)?));
            Some(Role::ALL.into_iter().filter_map(policy).collect())
        }
    };
    let printed = printed.ok_or_else(|| Failure::usage(format!("the bucket of {region} is not on S3")))?;
    let text = if out.is_json() { printed.to_string() } else { serde_json::to_string_pretty(&printed)? };
    out.line(text)?;
    Ok(ExitCode::SUCCESS)
}
