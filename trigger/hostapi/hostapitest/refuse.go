package hostapitest

// fail is an error in the form of the call's host.
func (c *call) fail(status int, message string) response {
	var body any = map[string]any{"message": message}
	switch c.Provider {
	case Bitbucket:
		body = map[string]any{"type": "error", "error": map[string]any{"message": message}}
	case BitbucketServer:
		return c.failAs(status, message, "")
	case Git:
		return response{status: status, text: []byte(message + "\n")}
	case AzureDevOps:
		body = map[string]any{"$id": "1", "innerException": nil, "message": message, "errorCode": 0}
	}
	return response{status: status, body: body}
}

// failAs is an error of Bitbucket Data Center, which names an exception.
func (c *call) failAs(status int, message, exception string) response {
	if exception == "" {
		exception = "ServiceException"
	}
	return response{status: status, body: map[string]any{"errors": []any{
		map[string]any{"context": nil, "message": message, "exceptionName": "com.atlassian.bitbucket." + exception},
	}}}
}

// unauthorized is for a token that the host does not know.
func (c *call) unauthorized() response {
	switch c.Provider {
	case GitHub:
		return c.fail(401, "Bad credentials")
	case GitLab:
		return c.fail(401, "401 Unauthorized")
	case Gitee:
		return c.fail(401, "401 Unauthorized: Access token is invalid")
	case Bitbucket:
		return c.fail(401, "Token is invalid, expired, or not supported for this endpoint.")
	case BitbucketServer:
		return c.failAs(401, "Authentication failed. Please check your credentials and try again.",
			"auth.IncorrectPasswordAuthenticationException")
	case Git:
		bad := c.fail(401, "Authentication failed")
		bad.header = map[string]string{"WWW-Authenticate": `Basic realm="Git"`}
		return bad
	case AzureDevOps:
		return response{status: 203, page: "<html><title>Azure DevOps Services | Sign In</title></html>"}
	}
	return c.fail(401, "invalid username, password or token")
}

// forbidden is for a token without the scope.
func (c *call) forbidden() response {
	switch c.Provider {
	case GitHub: // as if the repository were not there
		return c.fail(404, "Not Found")
	case GitLab:
		return response{status: 403, body: map[string]any{
			"error": "insufficient_scope", "scope": "api",
			"error_description": "The request requires higher privileges than provided by the access token.",
		}}
	case Gitee:
		return c.fail(403, "403 Forbidden: you have to be an administrator of the repository")
	case Bitbucket:
		return c.fail(403, "Your credentials lack one or more required privilege scopes.")
	case BitbucketServer:
		return c.failAs(401, "You are not permitted to access this resource", "AuthorisationException")
	case AzureDevOps:
		return c.fail(403, "TF401027: You need the Git 'GenericContribute' permission to perform this action.")
	}
	return c.fail(403, "token does not have at least one of required scope(s), required=[write:repository], token scope=read:repository")
}

// noRepository is for one that is not there, or that the token may not see.
func (c *call) noRepository() response {
	switch c.Provider {
	case Git:
		return c.fail(404, "Repository not found.")
	case GitLab:
		return c.fail(404, "404 Project Not Found")
	case Gitee:
		return c.fail(404, "Not Found Project")
	case Bitbucket:
		return c.fail(404, "Repository "+c.Repository+" not found")
	case BitbucketServer:
		return c.failAs(404, "Repository "+c.Repository+" does not exist.", "repository.NoSuchRepositoryException")
	case AzureDevOps:
		return c.fail(404, "TF401019: The Git repository with name or identifier "+c.r.PathValue("name")+
			" does not exist or you do not have permissions for the operation you are attempting.")
	}
	return c.fail(404, "Not Found")
}
