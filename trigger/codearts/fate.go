package codearts

// Fate says what may be done about a failed call.
type Fate int

const (
	// FateDead means that the call can never succeed as it is; somebody has to mend
	// something first.
	FateDead Fate = iota
	// FateRetry means that nothing happened, and the same call may succeed later.
	FateRetry
	// FateThrottled is FateRetry, and the service asks for patience: wait for
	// Error.RetryAfter, or for some growing seconds where it is 0.
	FateThrottled
	// FateUnknown means that the build may have been started. Look before calling again.
	// Only RunJob returns it.
	FateUnknown
)

// String implements fmt.Stringer.
func (f Fate) String() string {
	switch f {
	case FateDead:
		return "dead"
	case FateRetry:
		return "retry"
	case FateThrottled:
		return "throttled"
	case FateUnknown:
		return "unknown"
	}
	return "invalid"
}

// verdict is what an answer of the service means to people and to the caller.
type verdict struct {
	fate Fate
	what string // what went wrong
	todo string // what to do about it; "" where nothing helps but waiting
}

// judge gives the verdict on an answer that is not a success. A known code
// decides before the status does, because errors come in any status, 200
// included. The codes are those of the API reference of RunJob and of the API
// gateway; DEVCB.00030000 and the errors in a 200 were seen in live use.
func judge(status int, code string) verdict {
	if v, ok := judgeCode(code); ok {
		return v
	}
	switch {
	case status == 429:
		return verdict{FateThrottled, "throttled", ""}
	case status == 401:
		return verdict{FateDead, whatRefused, "check the target's credentials: disabled, deleted or mistyped keys, a token that is not project-scoped, or a clock that is wrong"}
	case status == 403:
		return verdict{FateDead, whatNoPermission, "give the user or agency the permission to run this build job"}
	case status == 404:
		return verdict{FateDead, "not found", "check the region or endpoint of the target and the job id"}
	case status == 408:
		// A gateway says this too, about a backend that did get the request.
		return verdict{FateUnknown, "request timed out at the service", ""}
	case status >= 300 && status < 400:
		return verdict{FateDead, "redirected", "set the target's endpoint to the address of the service itself; redirects are not followed"}
	case status >= 400 && status < 500:
		return verdict{FateDead, "refused", "correct the rule or the build job, then replay the build"}
	case status == 504: // APIGW.0201, a code that other statuses share
		return verdict{FateUnknown, "the gateway got no answer in time", ""}
	case status >= 500:
		return verdict{FateUnknown, "the service failed", ""}
	}
	return verdict{FateUnknown, "the service reports an error", ""}
}

func judgeCode(code string) (verdict, bool) {
	switch code {
	case "APIG.0308", "APIGW.0308":
		return verdict{FateThrottled, "throttled", ""}, true
	case "CB.00060211":
		return verdict{FateThrottled, "too many requests", ""}, true
	case "CB.00060100", "CB.00060101", "CB.00030004":
		return verdict{FateUnknown, "the service is busy or failed inside", ""}, true
	case codeCredentials, "APIG.0301":
		return judge(401, ""), true
	case "APIGW.0303", "APIG.0303":
		return verdict{FateDead, whatClock, "set the clock of this machine: a signature is valid for 15 minutes around its time"}, true
	case "APIGW.0101", "APIG.0101", "CB.00060214":
		return verdict{FateDead, "no such path", "check the region or endpoint of the target"}, true
	case "CB.00031006", "DEVCB.00031006":
		return verdict{FateDead, "no such job", "check job_id: it is the end of the job's address in the console, and belongs to the target's region"}, true
	case "CB.00060200", "CB.00060201", "DEV.CB.032000", "DEV.CB.032011":
		return verdict{FateDead, "bad parameter or job id", "correct the rule, then replay the build"}, true
	case "DEVCB.00030000":
		return verdict{FateDead, "the service refused to start the build", "start the job by hand in the console to see why"}, true
	}
	return verdict{}, false
}

// The codes that the client itself branches on.
const (
	codeCredentials = "APIGW.0301"
	codeEnded       = "DEV.CB.032302" // Stop: the build has ended already
	codeNoHistory   = "CB.00031059"   // the list of records, with a 403: there is none yet
)

// refused tells whether an answer says that credentials were refused for a
// reason that fresh ones may mend: not for the clock.
func refused(status int, code string) bool {
	switch code {
	case codeCredentials, "APIG.0301":
		return true
	case "":
		return status == 401
	}
	_, known := judgeCode(code)
	return status == 401 && !known
}
