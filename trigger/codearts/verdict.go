package codearts

import "strings"

// Fate says what may be done about a failed call.
type Fate int

const (
	// FateDead means that the call cannot succeed as it is: somebody has to fix something
	// first.
	FateDead Fate = iota
	// FateRetry means that nothing happened, and that the same call may succeed later, after
	// Error.RetryAfter at the earliest.
	FateRetry
	// FateThrottled is FateRetry, and the service asks for a pause: of Error.RetryAfter, or
	// of a few seconds, growing each time, where that is 0.
	FateThrottled
	// FateUnknown means that the build may have been started. Search for it before calling
	// again. Only RunJob and RunPipeline return it.
	FateUnknown
)

// kind tells failures apart where something depends on it.
type kind int

const (
	otherFailure       kind = iota
	noAnswer                // sent, and no complete answer came
	noCredentials           // not sent, because there are none
	refusedCredentials      // fresh ones may be accepted
	wrongClock              // of this machine
	noPermission
	badRequest
	noSuchPath
	noSuchJob // or pipeline
	noSuchBuild
	noAccess    // to what the call needs, whatever it does
	tooManyRuns // of this pipeline or tenant: no reason to pause the target
)

// verdict is what a failure means, to people and to the caller.
type verdict struct {
	fate Fate
	kind kind
	what string // what went wrong
	todo string // what to do about it; "" where only waiting helps
}

// verdicts by code decide before the status does, because errors come with any status, 200
// included. The codes are those of the API references of RunJob and of the API gateway;
// DEVCB.00030000 and the errors in a 200 were seen in live use. There is no reference of
// DEVPIPE codes: these are known from live use and from the tests of the Terraform provider.
var verdicts = map[string]verdict{
	"APIG.0308":      throttled,
	"APIGW.0308":     throttled,
	"CB.00060211":    {FateThrottled, otherFailure, "too many requests", ""},
	"CB.00060100":    busy,
	"CB.00060101":    busy,
	"CB.00030004":    busy,
	"APIG.0301":      badCredentials,
	"APIGW.0301":     badCredentials,
	"APIG.0303":      clockOff,
	"APIGW.0303":     clockOff,
	"APIG.0101":      noPath,
	"APIGW.0101":     noPath,
	"CB.00060214":    noPath,
	"CB.00031006":    noJob,
	"DEVCB.00031006": noJob,
	"CB.00060200":    badParameter,
	"CB.00060201":    badParameter,
	"DEV.CB.032000":  badParameter,
	codeBadNumber:    badParameter,
	"DEVCB.00030000": {FateDead, otherFailure, "the service refused to start the build", "start the job by hand in the console to see why"},

	codeQueued:         queuedSomewhere,
	codeQueuedByTenant: queuedSomewhere,
	"DEVPIPE.00011104": tooMany,
	"DEVPIPE.00011105": tooMany,
	"DEVPIPE.00011401": noPipeline,
	"DEVPIPE.00011136": noPipeline,
	"DEVPIPE.00011412": noMember,
	"DEVPIPE.30021001": noMember,
	"DEV_21_100169":    noMember,
	"DEVPIPE.30011001": noPart,
	"DEVPIPE.30011011": noPart,
	"DEVPIPE.00011203": noPart,
}

var (
	throttled      = verdict{FateThrottled, otherFailure, "throttled", ""}
	busy           = verdict{FateUnknown, otherFailure, "the service is busy or failed inside", ""}
	badCredentials = verdict{
		FateDead, refusedCredentials, "credentials refused",
		"check the target's credentials: disabled, deleted or mistyped keys, a token that is not project-scoped, or a clock that is wrong",
	}
	clockOff = verdict{
		FateDead, wrongClock, "clock off", "set the clock of this machine: a signature is valid for 15 minutes around its time",
	}
	noPath = verdict{FateDead, noSuchPath, "no such path", "check the region or endpoint of the target"}
	noJob  = verdict{
		FateDead, noSuchJob, "no such job",
		"check job_id: in the job's address in the console it is what follows /detail/history/, and it belongs to the target's region; " +
			"if this is the id of a pipeline write pipeline_id with project_id",
	}
	queuedSomewhere = verdict{FateUnknown, otherFailure, "queued, and the answer has no run id", ""}
	tooMany         = verdict{FateRetry, tooManyRuns, "too many runs at a time", ""}
	noPipeline      = verdict{
		FateDead, noSuchJob, "no such pipeline in this project",
		"check pipeline_id and project_id: both are in the pipeline's address in the console; if this is the id of a build job write job_id",
	}
	noMember = verdict{
		FateDead, noAccess, "the project is unknown, or the caller is no member of it",
		"check project_id, and add the user to the project, with the right to execute the pipeline",
	}
	noPart = verdict{
		FateDead, noAccess, "no permission for a part of the pipeline, or no such part",
		"give the user the permission to use the plug-ins, service endpoints and templates of the pipeline",
	}
	badParameter = verdict{FateDead, badRequest, "bad parameter or job id", "correct the rule, then replay the build"}
)

// judge gives the verdict on an answer that is not a success.
func judge(status int, code string) verdict {
	if v, ok := verdicts[code]; ok {
		return v
	}
	switch {
	case status == 429:
		return throttled
	case status == 401:
		return badCredentials
	case status == 403:
		return verdict{FateDead, noPermission, "no permission", "give the user or agency the permission to run this build job"}
	case status == 404:
		return verdict{FateDead, otherFailure, "not found", "check the region or endpoint of the target and the job id"}
	case status == 408:
		// A gateway also says this about a backend that did get the request.
		return verdict{FateUnknown, otherFailure, "request timed out at the service", ""}
	case status >= 300 && status < 400:
		return verdict{
			FateDead, otherFailure, "redirected",
			"set the target's endpoint to the address of the service itself; redirects are not followed",
		}
	case status >= 400 && status < 500:
		return verdict{FateDead, badRequest, "refused", "correct the rule or the build job, then replay the build"}
	case status < 300 && strings.HasPrefix(code, "DEVPIPE."):
		return verdict{FateDead, badRequest, "refused", "correct the rule, then replay the build"}
	case status == 504: // APIGW.0201, which comes with other statuses too
		return verdict{FateUnknown, otherFailure, "the gateway got no answer in time", ""}
	case status >= 500:
		return verdict{FateUnknown, otherFailure, "the service failed", ""}
	}
	return verdict{FateUnknown, otherFailure, "the service reports an error", ""}
}

// Codes that a single call looks for.
const (
	codeNoHistory = "CB.00031059"   // of the list of records, with a 403: the job has none yet
	codeBadNumber = "DEV.CB.032011" // of calls about one build: it is not there
	codeEnded     = "DEV.CB.032302" // of Stop: the build has ended already

	// Of RunPipeline, with a 200: the run waits, for the limit of its pipeline or of the tenant.
	codeQueued         = "DEVPIPE.00011169"
	codeQueuedByTenant = "DEVPIPE.00011170"
)
