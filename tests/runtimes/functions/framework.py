"""A framework that adapts applications to Lambda."""


class Adapter:
    def __init__(self, application):
        self.application = application

    def __call__(self, event, context):
        return self.application(event)
